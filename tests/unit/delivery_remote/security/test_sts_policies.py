"""MTA-STS: records, policies, and what is done with what is known (RFC 8461)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery_remote.security.sts import (
    MAX_AGE,
    BadPolicy,
    Known,
    StsPolicy,
    is_listed,
    parse_policy,
    record_id,
    should_fetch,
)

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
# As Google, Microsoft and RFC 8461 §3.2 have it.
GOOGLE = (
    b"version: STSv1\nmode: enforce\nmx: gmail-smtp-in.l.google.com\n"
    b"mx: *.gmail-smtp-in.l.google.com\nmax_age: 86400\n"
)
MICROSOFT = (
    b"version: STSv1\r\nmode: enforce\r\nmx: *.mail.protection.outlook.com\r\nmax_age: 604800\r\n"
)


@pytest.mark.parametrize(
    ("records", "ident"),
    [
        (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
        (["v=STSv1;id=1"], "1"),
        (["v=STSv1; id=a ; more=field;"], "a"),
        (["v=spf1 -all", "v=STSv1; id=2;"], "2"),
        (["v=STSv1; id=1;", "v=STSv1; id=2;"], None),  # §3.1: more than one is none
        (["v=STSv1;"], None),
        (["v=STSv2; id=1;"], None),
        (["v=STSv10; id=1;"], None),
        (["id=1; v=STSv1;"], None),
        (["v=STSv1; id=a-b;"], None),
        (["v=STSv1; id=" + "a" * 33], None),
        ([], None),
    ],
)
def test_the_record_has_one_id(records: list[str], ident: str | None) -> None:
    assert record_id(records) == ident


def test_policies_of_the_large_ones_are_read() -> None:
    google, microsoft = parse_policy(GOOGLE), parse_policy(MICROSOFT)

    assert google.lists("alt1.gmail-smtp-in.l.google.com")
    assert google.lists("gmail-smtp-in.l.google.com")
    assert not google.lists("gmail-smtp-in.l.google.com.evil.test")
    assert microsoft == StsPolicy(
        mode="enforce", mx=("*.mail.protection.outlook.com",), max_age=timedelta(days=7)
    )


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"<html>not found</html>",
        b"version: STSv2\nmode: enforce\nmx: a.test\nmax_age: 1\n",
        b"version: STSv1\nmode: must\nmx: a.test\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmx: a.test\n",
        b"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1\n",
        b"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 12345678901\n",
        b"version: STSv1\nmode: enforce\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmx: *.*.a.test\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmx: \nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmx: \xff\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\n" + b"mx: a.test\n" * 101 + b"max_age: 1\n",
    ],
)
def test_what_is_no_policy_is_refused(octets: bytes) -> None:
    with pytest.raises(BadPolicy):
        parse_policy(octets)


def test_the_first_of_a_field_counts_and_unknown_ones_are_passed_over() -> None:
    policy = parse_policy(
        b"version: STSv1\nmode: testing\nmode: enforce\nmx: A.Test.\nx-more: yes\n"
        b"max_age: 9999999999\nmax_age: 1"
    )

    assert policy == StsPolicy(mode="testing", mx=("a.test",), max_age=MAX_AGE)


def test_mode_none_needs_no_servers() -> None:
    assert parse_policy(b"version: STSv1\nmode: none\nmax_age: 60\n").mode == "none"


@given(st.binary(max_size=300))
def test_any_octets_are_read_or_refused_and_nothing_else(octets: bytes) -> None:
    try:
        policy = parse_policy(octets)
    except BadPolicy:
        return
    assert policy.max_age <= MAX_AGE


@pytest.mark.parametrize(
    ("host", "pattern", "is_so"),
    [
        ("mx.b.test", "mx.b.test", True),
        ("MX.b.test.", "mx.b.test", True),
        ("mx.b.test", "*.b.test", True),
        ("b.test", "*.b.test", False),
        ("a.mx.b.test", "*.b.test", False),
        ("xb.test", "*.b.test", False),
    ],
)
def test_a_star_is_one_label(host: str, pattern: str, *, is_so: bool) -> None:
    assert is_listed(host, [pattern]) is is_so


POLICY = StsPolicy(mode="enforce", mx=("mx.b.test",), max_age=timedelta(days=7))
FRESH = Known(id="1", policy=POLICY, fetched=NOW, tried=NOW, tried_id="1")
FAILED = Known(tried=NOW, tried_id="1")
MINUTE = StsPolicy(mode="enforce", mx=("mx.b.test",), max_age=timedelta(seconds=60))
SHORT = Known(id="1", policy=MINUTE, fetched=NOW, tried=NOW, tried_id="1")
HALF = Known(
    id="1", policy=POLICY, fetched=NOW, tried=NOW + timedelta(hours=30), tried_id="1"
)  # a refresh failed


@pytest.mark.parametrize(
    ("known", "ident", "later", "fetches", "counts"),
    [
        (None, "1", {}, True, False),
        (None, None, {}, False, False),
        (FRESH, "1", {"hours": 23}, False, True),
        (FRESH, "1", {"hours": 25}, True, True),  # §10.2: refreshed before it runs out
        (FRESH, "2", {"seconds": 1}, True, True),  # a new id
        (FRESH, None, {"days": 6}, False, True),  # §5.1: still counts without a record
        (FRESH, None, {"days": 8}, False, False),
        (FRESH, "1", {"days": 8}, True, False),
        (FAILED, "1", {"minutes": 4}, False, False),  # §3.3: not at once again
        (FAILED, "1", {"minutes": 5}, True, False),
        (FAILED, "2", {"minutes": 1}, True, False),
        (HALF, "1", {"hours": 30, "minutes": 1}, False, True),
        (SHORT, "1", {"seconds": 29}, False, True),
        (SHORT, "1", {"seconds": 30}, True, True),  # half its time is over
        (SHORT, "1", {"seconds": 61}, True, False),  # at once: nothing has failed
        (HALF, "1", {"hours": 31}, True, True),
    ],
)
def test_a_policy_at_hand_counts_until_its_end_and_is_fetched_anew_in_time(
    known: Known | None, ident: str | None, later: dict[str, int], *, fetches: bool, counts: bool
) -> None:
    now = NOW + timedelta(**later)

    assert should_fetch(known, ident, now) is fetches
    assert (known is not None and known.valid(now) is not None) is counts
