"""Which servers are asked, in which order, and which of them are we (RFC 5321 §5.1, §5.2)."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery_remote.routes import BACK_TO_US, NULL_MX
from delivery_remote.trouble import Never
from delivery_remote.ways.exchanges import (
    MAX_EXCHANGES,
    Families,
    Ours,
    arranged,
    choose,
    parse_ours,
    ranked,
    without_us,
)
from posthouse.mail.answers import Exchange
from posthouse.mail.hops import parse_hop
from posthouse.mail.networks import BadNetworks

OWN = "mail.example.test"
OURS = parse_ours(f"{OWN}, 192.0.2.0/28, 2001:db8::1")


def _straight(records: list[Exchange]) -> None:
    records.sort(key=lambda record: record.host)


def _hosts(chosen: tuple[Exchange, ...] | Never) -> tuple[str, ...]:
    assert isinstance(chosen, tuple)
    return tuple(record.host for record in chosen)


def test_better_exchanges_are_asked_first() -> None:
    records = [Exchange(30, "c"), Exchange(10, "b"), Exchange(20, "a")]

    assert _hosts(choose(records, OURS)) == ("b", "a", "c")


def test_equals_are_asked_in_random_order() -> None:
    records = [Exchange(10, name) for name in "abcd"]
    dice = random.Random(1)  # noqa: S311 - a test

    orders = {_hosts(choose(records, OURS, dice.shuffle)) for _ in range(200)}

    assert len(orders) == 24


def test_the_null_mx_is_no_server() -> None:
    assert choose([Exchange(0, "")], OURS) == NULL_MX


def test_a_null_mx_beside_others_is_passed_over() -> None:
    assert _hosts(choose([Exchange(0, ""), Exchange(10, "a")], OURS)) == ("a",)


def test_a_host_that_stands_there_twice_counts_where_it_is_better() -> None:
    records = [Exchange(30, "a"), Exchange(20, "b"), Exchange(10, "a"), Exchange(10, "a")]

    assert choose(records, OURS) == (Exchange(10, "a"), Exchange(20, "b"))


def test_we_and_who_is_not_better_than_we_are_left_out() -> None:
    records = [Exchange(10, "a"), Exchange(20, OWN), Exchange(20, "b"), Exchange(30, "c")]

    assert _hosts(choose(records, OURS, _straight)) == ("a",)


@pytest.mark.parametrize("other", [Exchange(10, "b"), Exchange(20, "b")])
def test_if_we_are_the_best_mail_would_circle(other: Exchange) -> None:
    assert choose([Exchange(10, OWN), other], OURS) == BACK_TO_US


@given(st.lists(st.builds(Exchange, st.integers(0, 5), st.sampled_from(["a", "b", "c", OWN, ""]))))
def test_we_never_send_to_ourselves(records: list[Exchange]) -> None:
    chosen = choose(records, OURS)

    if isinstance(chosen, tuple):
        hosts = _hosts(chosen)
        assert OWN not in hosts
        assert len(set(hosts)) == len(hosts) <= MAX_EXCHANGES


@pytest.mark.parametrize(
    ("own_address", "left"),
    [
        ("192.0.2.15", ("a",)),
        ("::ffff:192.0.2.1", ("a",)),
        ("2001:db8::1", ("a",)),
        ("192.0.2.16", ("a", "b", "c", "d")),
    ],
)
def test_we_are_known_by_our_addresses_whatever_the_name(
    own_address: str, left: tuple[str, ...]
) -> None:
    exchanges = [Exchange(10, "a"), Exchange(20, "b"), Exchange(20, "c"), Exchange(30, "d")]
    addresses = {"a": ["198.51.100.1"], "b": ["198.51.100.2"], "c": ["198.51.100.3", own_address]}

    assert _hosts(without_us(exchanges, addresses, OURS)) == left


@pytest.mark.parametrize(
    "text", ["a b", "192.0.2.1/24", "300.1.1.1", "mx.test, -", "2001:db8::g", "[192.0.2.1]"]
)
def test_what_names_no_house_is_refused(text: str) -> None:
    with pytest.raises(BadNetworks, match=r"must look like"):
        parse_ours(text)


def test_a_house_without_a_name_is_nobody() -> None:
    assert parse_ours(" , ") == Ours()


@pytest.mark.parametrize(
    ("addresses", "order"),
    [
        ((), ()),
        (("1.1.1.1",), ("1.1.1.1",)),
        (("::1", "::2", "1.1.1.1"), ("::1", "1.1.1.1", "::2")),
        (("::1", "1.1.1.1", "2.2.2.2"), ("::1", "1.1.1.1", "2.2.2.2")),
    ],
)
def test_families_take_turns(addresses: tuple[str, ...], order: tuple[str, ...]) -> None:
    assert arranged(addresses) == order


@pytest.mark.parametrize(
    ("families", "order"),
    [
        (Families.BOTH, ("::1", "1.1.1.1", "::2", "2.2.2.2")),
        (Families.IPV6, ("::1", "::2", "1.1.1.1", "2.2.2.2")),
        (Families.IPV4, ("1.1.1.1", "2.2.2.2", "::1", "::2")),
        (Families.ONLY_IPV6, ("::1", "::2")),
        (Families.ONLY_IPV4, ("1.1.1.1", "2.2.2.2")),
    ],
)
def test_an_operator_may_prefer_a_family(families: Families, order: tuple[str, ...]) -> None:
    assert arranged(("::1", "::2", "1.1.1.1", "2.2.2.2"), families) == order


def test_next_hops_are_asked_by_preference_and_equals_by_weight() -> None:
    dice = random.Random(1)  # noqa: S311 - a test
    hops = tuple(map(parse_hop, ("a,preference=5", "b,weight=3", "c", "d,preference=9")))

    orders = Counter("".join(hop.host for hop in ranked(hops, dice.random)) for _ in range(4000))

    assert set(orders) == {"bcad", "cbad"}
    assert orders["bcad"] / 4000 == pytest.approx(3 / 4, abs=0.03)
