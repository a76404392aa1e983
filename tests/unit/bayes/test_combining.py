"""What tokens come to, and how well that tells mail apart."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.bayes.combining import Belief, Totals, band, belief_in, rules_of
from posthouse.bayes.proving import prove
from posthouse.bayes.tokens import tokens_of
from support import junk_mail

EVEN = Totals(100, 100)


def test_nothing_known_leaves_it_open() -> None:
    assert belief_in([1, 2, 3], {}, EVEN) == Belief(0.5, 0)
    assert belief_in([1, 2, 3], {1: (9, 0), 2: (9, 0), 3: (9, 0)}, Totals(9, 0)) == Belief()
    assert belief_in([1, 2], {1: (50, 0), 2: (50, 0)}, EVEN) == Belief(0.5, 2)


def test_tokens_of_spam_make_spam_and_those_of_ham_ham() -> None:
    bad, good = dict.fromkeys(range(9), (40, 0)), dict.fromkeys(range(9), (0, 40))

    assert belief_in(range(9), bad, EVEN).spam > 0.999
    assert belief_in(range(9), good, EVEN).spam < 0.001


def test_both_at_once_leave_it_open() -> None:
    mixed = {n: (40, 0) if n % 2 else (0, 40) for n in range(20)}

    assert belief_in(range(20), mixed, EVEN).spam == pytest.approx(0.5, abs=0.2)


def test_the_chance_is_that_of_the_chi_square_distribution() -> None:
    # Three tokens in one of a hundred of ham and 99 of spam: f = 0.99; by hand, for 6 degrees.
    counts = dict.fromkeys(range(3), (99, 1))
    f = (0.1 * 0.5 + 100 * 0.99) / 100.1
    s, h = -3 * math.log(1 - f), -3 * math.log(f)
    q = [math.exp(-m) * (1 + m + m * m / 2) for m in (s, h)]

    assert belief_in(range(3), counts, EVEN).spam == pytest.approx((1 + q[1] - q[0]) / 2)


@pytest.mark.parametrize(
    ("spam", "rules"),
    [(0.0, ("BAYES_00",)), (0.01, ("BAYES_05",)), (0.5, ("BAYES_50",)), (0.949, ("BAYES_80",)),
     (0.99, ("BAYES_99",)), (1.0, ("BAYES_99", "BAYES_999"))],
)  # fmt: skip
def test_bands(spam: float, rules: tuple[str, ...]) -> None:
    assert rules_of(spam) == rules
    assert band(spam) == rules[-1]


@given(
    st.dictionaries(st.integers(0, 400), st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))),
    st.integers(0, 10**6), st.integers(0, 10**6),
)  # fmt: skip
def test_a_belief_is_a_probability_whatever_was_counted(
    counts: dict[int, tuple[int, int]], spam: int, ham: int
) -> None:
    assert 0.0 <= belief_in(range(400), counts, Totals(spam, ham)).spam <= 1.0


def test_mail_that_was_held_out_is_told_apart() -> None:
    proof = prove(
        [tokens_of(each) for each in junk_mail.spam(300)],
        [tokens_of(each) for each in junk_mail.ham(300)],
        folds=5,
    )

    assert sum(proof.spam.values()) == sum(proof.ham.values()) == 300
    assert proof.accused == 0
    assert proof.precision == 1.0
    assert proof.recall > 0.9
    assert proof.accuracy > 0.95


def test_mail_that_cannot_be_told_apart_is_not_accused() -> None:
    same = [tokens_of(each) for each in junk_mail.ham(60)]

    proof = prove(same, same, folds=3)

    assert proof.accused == proof.caught
    assert proof.accuracy < 0.6
