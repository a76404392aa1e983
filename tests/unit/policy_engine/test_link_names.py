"""The domains of links as lists of domains are asked about them, and which zones may be asked."""

from __future__ import annotations

import pytest

from policy_engine.lists.health import PROBE_AGAIN, SILENT_AFTER, Health
from policy_engine.lists.link_names import MAX_NAMES, hosts_in, names_of
from policy_engine.lists.questions import named
from posthouse.mail.answers import Answer, Empty, Found, Temporary
from posthouse.storage.list_zones import Zone

NONE, SILENCE, YES = Empty(exists=False), Temporary("no answer in time"), Found(("127.0.0.2",))


@pytest.mark.parametrize(
    ("link", "names"),
    [
        ("https://www.Shop.test/?x=1", ["shop.test"]),
        ("https://a.b.shop.co.test:8443/x", ["shop.co.test", "co.test"]),
        ("http://user:pass@far.test", ["far.test"]),
        ("http:\\\\far.test\\x", ["far.test"]),
        ("http://far%2Etest/x", ["far.test"]),
        ("http://far\N{IDEOGRAPHIC FULL STOP}test/x", ["far.test"]),
        ("http://\N{FULLWIDTH LATIN SMALL LETTER F}a\N{SOFT HYPHEN}r.test/x", ["far.test"]),
        ("http://go.test/?to=http%3A%2F%2Fspam.test/", ["go.test", "spam.test"]),
        ("mailto:eve@mail.far.test?subject=hi", ["mail.far.test", "far.test"]),
        ("http://b\u00fccher.test/", ["xn--bcher-kva.test"]),
        ("http://192.0.2.1/", []),
        ("http://[2001:db8::1]/", []),
        ("http://2130706433/", []),
        ("http://localhost/", []),
        ("http://..../ http:// javascript:alert(1)", []),
        ("http://" + 300 * "a" + ".test/", []),
    ],
)
def test_a_link_is_asked_about_by_its_last_labels(link: str, names: list[str]) -> None:
    assert list(names_of(hosts_in(link.encode()), b"seed")) == names


def test_nobody_hides_a_link_behind_many_others() -> None:
    hosts = [f"h{n}.test" for n in range(500)]

    chosen = [set(names_of(hosts, bytes([seed] * 16))) for seed in range(40)]

    assert all(len(each) == MAX_NAMES for each in chosen)
    assert len(set().union(*chosen)) > 10 * MAX_NAMES
    assert names_of(hosts, b"1") == names_of(hosts, b"1")


def test_a_zone_is_asked_about_what_it_is_for() -> None:
    zone = Zone(zone="dbl.test", asks=("sender", "link", "author"))
    names = {"link": ("a.test", "b.test"), "author": ("b.test",), "client": ("c.test",)}

    assert [each.name for each in named(zone, names)] == ["a.test.dbl.test", "b.test.dbl.test"]  # type: ignore[arg-type]
    assert named(Zone(zone="bl.test"), {"link": ("a.test",)}) == []


def test_a_zone_that_is_silent_rests_and_is_asked_again() -> None:
    now = 1000.0
    health, zone = Health(lambda: now), Zone(zone="bl.test")
    assert health.due([zone]) == [zone]
    assert health.due([zone]) == [], "one probe at a time"
    health.probed(zone, YES, NONE)

    for _ in range(SILENT_AFTER - 1):
        health.heard(zone, SILENCE)
    health.heard(zone, NONE)
    for _ in range(SILENT_AFTER - 1):
        health.heard(zone, SILENCE)
    assert health.is_well(zone), "it has answered between"
    health.heard(zone, SILENCE)
    assert not health.is_well(zone)

    now += PROBE_AGAIN.total_seconds()
    assert health.due([zone]) == [zone]
    health.probed(zone, SILENCE, SILENCE)
    assert not health.is_well(zone)
    now += PROBE_AGAIN.total_seconds()
    assert health.due([zone]) == [zone]
    health.probed(zone, YES, NONE)
    assert health.is_well(zone)
    assert health.due([zone]) == []


@pytest.mark.parametrize(
    ("must", "must_not", "is_well"),
    [
        (YES, NONE, True),
        (NONE, NONE, True),  # not all have a test entry
        (SILENCE, NONE, True),
        (SILENCE, SILENCE, True),  # it was well, and perhaps a packet was lost
        (YES, YES, False),
        (YES, Found(("127.0.0.2",)), False),
        (Found(("127.255.255.254",)), NONE, False),
        (Found(("192.0.2.1",)), Found(("192.0.2.1",)), False),
    ],
)
def test_what_a_probe_tells(must: Answer[str], must_not: Answer[str], *, is_well: bool) -> None:
    health, zone = Health(lambda: 0.0), Zone(zone="bl.test")

    health.probed(zone, must, must_not)

    assert health.is_well(zone) is is_well
