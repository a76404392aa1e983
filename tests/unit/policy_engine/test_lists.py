"""Lists: keys, return codes, names in DNS, and who decides."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.greylisting.triplets import network_of, steady, triplet
from policy_engine.lists.access import keys_of, lists_of
from policy_engine.lists.decision import Decision, decide, reachable
from policy_engine.lists.questions import Traits, probes, questions
from posthouse.mail.access_keys import (
    IPV4_LENGTHS,
    IPV6_LENGTHS,
    Kind,
    address_keys,
    client_keys,
    domain_keys,
    key_of,
    plain_address,
)
from posthouse.mail.list_codes import Listed, listed, parse_codes
from posthouse.storage.access import Action, Entry
from posthouse.storage.list_zones import Subject, Zone


def test_addresses_stand_under_their_domain_and_those_above() -> None:
    assert address_keys("Anna@News.Far.Test") == (
        "anna@news.far.test", "news.far.test", "far.test", "test",
    )  # fmt: skip
    assert address_keys("") == ("<>",)
    assert len(domain_keys(".".join("a" * 100))) == 20
    assert domain_keys("[192.0.2.1]") == ()


@pytest.mark.parametrize(
    ("client", "network"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.7", "192.0.2.0/24"),
        ("192.0.2.7", "192.0.0.0/9"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8::/32"),
        ("2001:db8:1:2::3", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::3", "2001:db8:1:2::3/128"),
    ],
)
def test_clients_stand_under_their_networks(client: str, network: str) -> None:
    assert key_of("client", network) in client_keys(client)


@given(st.ip_addresses())
def test_every_address_has_its_own_key(address: object) -> None:
    assert key_of("client", str(address)) == client_keys(str(address))[0]


def test_a_mapped_address_is_that_of_ipv4() -> None:
    assert key_of("client", "::ffff:192.0.2.7") == "192.0.2.7/32"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("sender", "a@@b"), ("sender", "no domain"), ("author", "<>"), ("hello", "[192.0.2.1]"),
        ("client", "192.0.2.1/24"), ("client", "10.0.0.0/7"), ("client", "2001:db8::/33"),
        ("header", "no field: x"), ("header", "x: " + 400 * "y"),
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused(kind: Kind, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        key_of(kind, text)


@pytest.mark.parametrize(
    ("codes", "answers", "points"),
    [
        ("", ["127.0.0.2"], 2.0),
        ("", ["127.0.0.2", "127.0.0.4"], 2.0),
        ("2=3 4-7=1.5", ["127.0.0.2"], 3.0),
        ("2=3 4-7=1.5", ["127.0.0.2", "127.0.0.4", "127.0.0.5"], 4.5),
        ("2=3, 4-7", ["127.0.0.4"], 2.0),
        ("2=3", ["127.0.0.9"], 0.0),
        ("2", ["127.0.1.2"], 0.0),
        ("&16=1 &4=2", ["127.0.0.20"], 3.0),
        ("&256=1", ["127.0.1.0"], 1.0),
        ("1.2-99=3", ["127.0.1.4"], 3.0),  # the DBL of Spamhaus
        ("1.2-99=3", ["127.0.0.4"], 0.0),
        ("*.3=5 *.1-2", ["127.0.15.3"], 5.0),  # DNSWL: category, trust
        ("*.3=5 *.1-2", ["127.0.15.1"], 2.0),
        ("*.3=5", ["127.1.15.3"], 0.0),
        ("2.*.4", ["127.2.9.4"], 2.0),
    ],
)
def test_return_codes_count_once_each(codes: str, answers: list[str], points: float) -> None:
    assert listed(answers, parse_codes(codes), 2.0).points == points


@pytest.mark.parametrize("answer", [
    "127.255.255.254", "127.0.0.1", "127.0.0.255", "127.0.1.255", "192.0.2.1", "10.0.0.1",
])  # fmt: skip
def test_what_is_no_answer_of_a_list_is_no_listing(answer: str) -> None:
    found = listed(["127.0.0.2", answer], (), 2.0)

    assert found.fault
    assert found.points == 0
    assert listed([], (), 2.0) == Listed()


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "2-1",
        "256",
        "1.256",
        "1.2.3.4",
        "1.",
        "*-2",
        "&0",
        "&99999999",
        "2=",
        "2=1e9",
        65 * "2 ",
    ],
)
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_codes(text)


def asked_about(subject: Subject, what: str) -> list[str]:
    traits = Traits(**{subject: what})
    return [each.name for each in questions(Zone(zone="bl.test", asks=(subject,)), traits)]


def test_names_in_dns_are_those_of_rfc_5782() -> None:
    zone = Zone(zone="bl.test", asks=("client", "hello", "sender"))

    assert asked_about("client", "192.0.2.99") == ["99.2.0.192.bl.test"]
    assert asked_about("client", "::ffff:192.0.2.99") == ["99.2.0.192.bl.test"]
    assert asked_about("client", "2001:db8:1:2:3:4:567:89ab") == [
        "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.test"  # §2.4
    ]
    for name in ("[192.0.2.1]", "192.0.2.1", "2001:db8::1", "localhost", "", "a b.c"):
        assert asked_about("hello", name) == [], "a list of names is asked about names"
    traits = Traits(client="192.0.2.1", sender="far.test", hello="far.test")
    assert [each.name for each in questions(zone, traits)] == [
        "1.2.0.192.bl.test", "far.test.bl.test",
    ]  # fmt: skip
    assert probes(zone) == ("2.0.0.127.bl.test", "1.0.0.127.bl.test")
    assert probes(Zone(zone="d.test", asks=("sender",))) == ("test.d.test", "invalid.d.test")


def entry(whose: str, kind: Kind, key: str, action: Action, score: float = 0.0) -> Entry:
    return Entry(whose=whose, kind=kind, key=key, action=action, score=score)


def test_the_narrower_list_and_the_better_key_decide() -> None:
    given: dict[Kind, tuple[str, ...]] = {"sender": ("eve@a.far.test",), "client": ("192.0.2.1",)}
    keys, whose = keys_of(["sender", "client"], given), lists_of("Anna+x@example.test")
    house = entry("*", "sender", "far.test", "deny")

    def decision(*entries: Entry) -> str:
        found = decide(entries, keys, whose).entry
        return "" if found is None else f"{found.action} {found.whose} {found.key}"

    assert whose == ("anna+x@example.test", "anna@example.test", "example.test", "*")
    assert decision() == ""
    assert decision(house) == "deny * far.test"
    assert decision(house, entry("*", "sender", "a.far.test", "allow")) == "allow * a.far.test"
    assert decision(house, entry("*", "client", "192.0.2.0/24", "allow")) == "allow * 192.0.2.0/24"
    mine = entry("anna@example.test", "sender", "test", "allow")
    assert decision(house, mine) == "allow anna@example.test test"
    theirs = entry("example.test", "sender", "eve@a.far.test", "deny")
    assert decision(theirs, mine) == "allow anna@example.test test"
    assert decision(theirs, entry("*", "client", "192.0.2.0/24", "allow")).startswith("deny")


def test_an_exception_takes_out_of_what_the_same_list_says_more_widely() -> None:
    given: dict[Kind, tuple[str, ...]] = {"sender": ("eve@a.far.test",), "client": ("192.0.2.1",)}
    keys, whose = keys_of(["sender", "client"], given), lists_of("anna@example.test")
    wide = entry("*", "client", "192.0.2.0/24", "deny")

    assert decide([wide, entry("*", "client", "192.0.2.1/32", "except")], keys, whose) == Decision()
    narrow = entry("example.test", "client", "192.0.2.1/32", "except")
    assert decide([wide, narrow], keys, whose).entry == wide, "another list"
    other = [wide, entry("*", "sender", "far.test", "except")]
    assert decide(other, keys, whose).entry == wide, "another kind"
    elsewhere = entry("*", "client", "198.51.100.0/24", "deny")
    assert decide([elsewhere], keys, whose) == Decision()


def test_what_is_refused_for_good_goes_before_what_is_refused_for_now() -> None:
    keys, whose = (
        keys_of(["sender", "client"], {"sender": ("e@far.test",), "client": ("192.0.2.1",)}),
        ["*"],
    )
    deny, later = (
        entry("*", "sender", "far.test", "deny"),
        entry("*", "client", "192.0.2.0/24", "defer"),
    )

    assert decide([later, deny], keys, whose).entry == deny
    assert decide([later], keys, whose).action == "defer"


@pytest.mark.parametrize("name", ["postmaster", "Abuse", "abuse+x"])
def test_who_must_be_reached_is_kept_from_nobody_but_by_their_own_list(name: str) -> None:
    house, domain = (
        entry("*", "sender", "far.test", "deny"),
        entry("example.test", "client", "192.0.2.0/24", "defer"),
    )
    points, own = (
        entry("*", "sender", "far.test", "score", 9),
        entry("abuse@example.test", "sender", "far.test", "deny"),
    )
    address = entry("*", "recipient", "abuse@example.test", "deny")
    entries = [house, domain, points, own, address]

    is_role = "+" not in name
    assert reachable(entries, f"{name}@example.test") == (entries[2:] if is_role else entries)
    assert reachable(entries, "anna@example.test") == entries


def test_domains_are_compared_in_a_labels() -> None:
    assert key_of("sender", "Eve@B\u00fccher.test") == "eve@xn--bcher-kva.test"
    assert key_of("hello", "b\u00fccher.test.") == "xn--bcher-kva.test"
    assert address_keys("eve@B\u00dcCHER.test") == address_keys("EVE@xn--bcher-kva.TEST")
    assert "xn--bcher-kva.test" in address_keys("eve@mail.b\u00fccher.test")
    assert asked_about("sender", "B\u00fccher.test") == ["xn--bcher-kva.test.bl.test"]


@given(st.ip_addresses())
def test_the_networks_of_a_client_hold_it(address: IPv4Address | IPv6Address) -> None:
    plain = plain_address(str(address))
    networks = [ip_network(each) for each in client_keys(str(address))]

    assert all(plain in each for each in networks)
    lengths = [each.prefixlen for each in networks]
    assert lengths == list(IPV4_LENGTHS if plain and plain.version == 4 else IPV6_LENGTHS)


def test_points_are_added_up() -> None:
    keys = keys_of(["sender", "client"], {"sender": ("e@far.test",), "client": ("192.0.2.1",)})
    found = decide(
        [
            entry("*", "sender", "far.test", "score", 3),
            entry("*", "sender", "e@far.test", "score", 1),  # fits better
            entry("example.test", "client", "192.0.2.1/32", "score", -0.5),
        ],
        keys,
        lists_of("anna@example.test"),
    )

    assert (found.entry, found.points) == (None, 0.5)


@pytest.mark.parametrize(
    ("sender", "same"),
    [
        ("Eve@Far.Test", "eve@far.test"),
        ("list-return-1234-anna=our.test@far.test", "list-return-77-anna=our.test@far.test"),
        ("bounce-5f3ac9d1@far.test", "bounce-00aa11bb@far.test"),
        ("news+anna=our.test@far.test", "news@far.test"),
        ("SRS0=HHH=TT=far.test=eve@relay.test", "srs0=xyz=ab=far.test=eve@relay.test"),
        ("prvs=1234abcdef=eve@far.test", "eve@far.test"),
        ("", ""),
    ],
)
def test_senders_lose_what_differs_from_mail_to_mail(sender: str, same: str) -> None:
    assert steady(sender) == steady(same)


def test_other_senders_stay_others() -> None:
    names = ["eve@far.test", "bea@far.test", "eve@near.test", "deadline@far.test", "face@far.test"]

    assert len({steady(each) for each in names}) == len(names)
    assert steady("deadline@far.test") == "deadline@far.test"


def test_a_triplet_needs_a_client_and_a_recipient() -> None:
    assert network_of("2001:db8::1") == "2001:db8::/64"
    assert triplet("unknown", "e@far.test", "a@example.test") is None
    first = triplet("192.0.2.1", "e@far.test", "Anna+x@Example.test")
    again = triplet("192.0.2.200", "E@far.test", "anna@example.test")
    assert first is not None
    assert again is not None
    assert first.key == again.key
