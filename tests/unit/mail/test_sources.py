"""From which address a mail leaves."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.rates import UNLIMITED
from posthouse.mail.sources import MACHINE, USUAL_WARM_UP, Source, pool_of, ranked

FIRST_DAY = date(2026, 11, 1)


def source(address: str, *warm_up: int) -> Source:
    return Source(
        address=address, pool="bulk", hostname="out.test", warm_up=warm_up, since=FIRST_DAY
    )


POOL = tuple(source(f"192.0.2.{n}") for n in range(1, 6))
USES = {
    ("*", "*"): "usual",
    ("*", ".gmail.test"): "big",
    ("@.a.test", "*"): "tenants",
    ("@a.test", "*"): "tenant",
    ("news@a.test", "*"): "bulk",
    ("news@a.test", "b.test"): "friends",
    ("<>", "*"): MACHINE,
}


@pytest.mark.parametrize(
    ("sender", "domain", "pool"),
    [
        ("x@y.test", "z.test", "usual"),
        ("x@y.test", "eu.gmail.test", "big"),
        ("x@y.test", "gmail.test", "usual"),
        ("x@a.test", "eu.gmail.test", "tenant"),
        ("x@sub.a.test", "b.test", "tenants"),
        ("News@A.test", "c.test", "bulk"),
        ("news@a.test", "b.test", "friends"),
        ("", "b.test", MACHINE),
    ],
)
def test_what_is_said_of_the_sender_counts_before_the_domain(
    sender: str, domain: str, pool: str
) -> None:
    assert pool_of(USES, sender, domain) == pool


def test_without_a_choice_mail_leaves_as_the_machine_sends_it() -> None:
    assert pool_of({}, "x@a.test", "b.test") == MACHINE
    assert pool_of({("@a.test", "*"): "p"}, "x@c.test", "b.test") == MACHINE


def test_mail_is_spread_over_the_pool() -> None:
    first = Counter(ranked(POOL, f"user{n}@a.test", "b.test")[0].address for n in range(1000))

    assert set(first) == {each.address for each in POOL}
    assert max(first.values()) < 300


@given(st.text(min_size=1), st.sampled_from(POOL))
def test_without_one_address_all_others_keep_their_order(sender: str, gone: Source) -> None:
    before = ranked(POOL, sender, "b.test")
    after = ranked([each for each in reversed(POOL) if each != gone], sender, "b.test")

    assert after == tuple(each for each in before if each != gone)


def test_the_budget_grows_day_by_day_until_the_address_is_warm() -> None:
    warming = source("192.0.2.1", *USUAL_WARM_UP)
    budgets = [warming.budget(FIRST_DAY + timedelta(days=n)) for n in (-1, 0, 1, 9, 10, 400)]

    assert budgets == [0, 50, 100, 40_000, None, None]
    assert warming.rate(FIRST_DAY - timedelta(days=1)) is None
    assert warming.rate(FIRST_DAY + timedelta(days=10)) == UNLIMITED


@pytest.mark.parametrize("budget", [1, 7, 24, 50, 100_000])
def test_a_budget_is_spread_over_its_day(budget: int) -> None:
    rate = source("192.0.2.1", budget).rate(FIRST_DAY)

    assert rate is not None
    assert rate.most == max(1, budget // 24)
    assert rate.pace == pytest.approx(86_400 / budget, rel=1e-6)


def test_only_addresses_of_one_family_reach_each_other() -> None:
    assert source("192.0.2.1").reaches("198.51.100.1")
    assert not source("192.0.2.1").reaches("2001:db8::1")
    assert source("2001:db8::2").reaches("2001:db8::1")
