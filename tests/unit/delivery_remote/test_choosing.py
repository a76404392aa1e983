"""Which of a domain's exchanges are asked, and in which order (RFC 5321 §5.1)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery_remote.routes import BACK_TO_US, MAX_EXCHANGES, NULL_MX, choose, interleave
from posthouse.resolver import Exchange

OWN = "mail.example.test"


def _straight(records: list[Exchange]) -> None:
    records.sort(key=lambda record: record.host)


def test_better_exchanges_are_asked_first() -> None:
    records = [Exchange(30, "c"), Exchange(10, "b"), Exchange(20, "a")]

    assert choose(records, OWN) == ("b", "a", "c")


def test_equals_are_asked_in_random_order() -> None:
    records = [Exchange(10, name) for name in "abcd"]
    dice = random.Random(1)  # noqa: S311 - a test

    orders = {choose(records, OWN, dice.shuffle) for _ in range(200)}

    assert len(orders) == 24


def test_the_null_mx_is_no_server() -> None:
    assert choose([Exchange(0, "")], OWN) == NULL_MX


def test_a_null_mx_beside_others_is_passed_over() -> None:
    assert choose([Exchange(0, ""), Exchange(10, "a")], OWN) == ("a",)


def test_we_and_who_is_not_better_than_we_are_left_out() -> None:
    records = [Exchange(10, "a"), Exchange(20, OWN), Exchange(20, "b"), Exchange(30, "c")]

    assert choose(records, OWN, _straight) == ("a",)


@pytest.mark.parametrize("other", [Exchange(10, "b"), Exchange(20, "b")])
def test_if_we_are_the_best_mail_would_circle(other: Exchange) -> None:
    assert choose([Exchange(10, OWN), other], OWN) == BACK_TO_US


@given(st.lists(st.builds(Exchange, st.integers(0, 5), st.sampled_from(["a", "b", "c", OWN, ""]))))
def test_we_never_send_to_ourselves(records: list[Exchange]) -> None:
    chosen = choose(records, OWN)

    if isinstance(chosen, tuple):
        assert OWN not in chosen
        assert len(set(chosen)) == len(chosen) <= MAX_EXCHANGES


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
    assert interleave(addresses) == order
