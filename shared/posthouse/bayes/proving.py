"""How well the classifier tells mail apart that it has not learned: cross-validation. Pure.

The messages are dealt out in folds; each fold is judged by what was learned of all the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from posthouse.bayes.combining import BANDS, Totals, band, belief_in

SPAM_FROM = 0.95  # BAYES_95 and above count as said to be spam
HAM_TO = 0.40  # BAYES_40 and below count as said to be wanted; between nothing is said

Tokens = Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What became of mail that was held out.

    Attributes:
        folds: How often a part was held out.
        spam: How many messages of spam fell into each band, by the band's name.
        ham: The same of wanted mail.
        caught: Spam that was said to be spam.
        missed: Spam that was said to be wanted.
        accused: Wanted mail that was said to be spam: false positives.
        cleared: Wanted mail that was said to be wanted.
    """

    folds: int
    spam: dict[str, int]
    ham: dict[str, int]
    caught: int
    missed: int
    accused: int
    cleared: int

    @property
    def precision(self) -> float:
        """How much of what was said to be spam is spam; 1 if nothing was."""
        said = self.caught + self.accused
        return self.caught / said if said else 1.0

    @property
    def recall(self) -> float:
        """How much of the spam was said to be spam."""
        return self.caught / max(sum(self.spam.values()), 1)

    @property
    def accuracy(self) -> float:
        """How much of all mail was said to be what it is."""
        everything = sum(self.spam.values()) + sum(self.ham.values())
        return (self.caught + self.cleared) / max(everything, 1)


def prove(spam: Sequence[Tokens], ham: Sequence[Tokens], folds: int) -> Proof:
    """Return how well held-out mail is told apart; every ``folds``-th message is in one fold."""
    whole = _count(spam), _count(ham)
    beliefs: tuple[list[float], list[float]] = ([], [])
    for fold in range(folds):
        held = spam[fold::folds], ham[fold::folds]
        counts = tuple(_without(whole[kind], _count(held[kind])) for kind in (0, 1))
        totals = Totals(len(spam) - len(held[0]), len(ham) - len(held[1]))
        for kind in (0, 1):
            for tokens in held[kind]:
                seen = {each: (counts[0][each], counts[1][each]) for each in tokens}
                beliefs[kind].append(belief_in(tokens, seen, totals).spam)
    return Proof(
        folds=folds,
        spam=_bands(beliefs[0]),
        ham=_bands(beliefs[1]),
        caught=sum(each >= SPAM_FROM for each in beliefs[0]),
        missed=sum(each < HAM_TO for each in beliefs[0]),
        accused=sum(each >= SPAM_FROM for each in beliefs[1]),
        cleared=sum(each < HAM_TO for each in beliefs[1]),
    )


def _count(messages: Sequence[Tokens]) -> Counter[int]:
    return Counter(chain.from_iterable(messages))


def _without(whole: Counter[int], part: Counter[int]) -> Counter[int]:
    left = whole.copy()
    left.subtract(part)
    return left


def _bands(beliefs: Sequence[float]) -> dict[str, int]:
    found = Counter(map(band, beliefs))
    return {name: found[name] for _, name in reversed(BANDS)}
