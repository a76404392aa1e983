"""Whether and how the classifier judges: what policy is told."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from posthouse.runtime.settings import CommonSettings

# As SpamAssassin's, for a house that asks DNS too; BAYES_999 comes on top of BAYES_99.
SCORES: Final = MappingProxyType({
    "BAYES_00": -1.9, "BAYES_05": -0.5, "BAYES_20": -0.001, "BAYES_40": -0.001, "BAYES_50": 0.8,
    "BAYES_60": 1.5, "BAYES_80": 2.0, "BAYES_95": 3.0, "BAYES_99": 3.5, "BAYES_999": 0.2,
})  # fmt: skip
MOST_POINTS = 1000


def _scores(text: str) -> str:
    parse_scores(text)
    return text


def parse_scores(text: str) -> Mapping[str, float]:
    """Return the score of each band, with those that ``text`` changes; raise `ValueError`."""
    changed = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, points = part.partition("=")
        try:
            value = float(points)
        except ValueError:
            value = MOST_POINTS + 1
        if name.strip() not in SCORES or not abs(value) <= MOST_POINTS:
            raise ValueError(f"must look like BAYES_00=-1.9,BAYES_99=3.5; not {part!r}")
        changed[name.strip()] = value
    return {**SCORES, **changed}


class BayesSettings(CommonSettings):
    """How mail is judged by what was learned.

    Attributes:
        bayes: It is, as soon as enough was learned.
        bayes_messages_min: So many messages of spam and so many of wanted mail are enough.
        bayes_accounts: Mail to one account is judged by what that account has learned, if that is
            enough.
        bayes_scores: Points of bands, where they differ from `SCORES`: ``BAYES_99=4,BAYES_50=0``.
        bayes_learn_spam_score: Mail with such a score without the classifier's is learned as spam by
            itself; without, none is.
        bayes_learn_ham_score: Mail with at most such a score without the classifier's is learned as
            wanted; without, none is.
    """

    bayes: bool = True
    bayes_messages_min: Annotated[int, Field(ge=1, le=1_000_000)] = 200
    bayes_accounts: bool = True
    bayes_scores: Annotated[str, AfterValidator(_scores)] = ""
    bayes_learn_spam_score: Annotated[float, Field(ge=-1000, le=1000)] | None = None
    bayes_learn_ham_score: Annotated[float, Field(ge=-1000, le=1000)] | None = None

    @model_validator(mode="after")
    def _learns_one_of_both(self) -> Self:
        spam, ham = self.bayes_learn_spam_score, self.bayes_learn_ham_score
        if spam is not None and ham is not None and ham >= spam:
            raise ValueError(
                "POSTHOUSE_BAYES_LEARN_HAM_SCORE: must be less than POSTHOUSE_BAYES_LEARN_SPAM_SCORE"
            )
        return self

    @property
    def band_scores(self) -> Mapping[str, float]:
        """The points of each band."""
        return parse_scores(self.bayes_scores)
