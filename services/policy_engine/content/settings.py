"""How whole messages are judged: what policy is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from policy_engine.content.bench import Marks
from policy_engine.content.verdict import Levels
from posthouse.mail.address import is_domain
from posthouse.runtime.name_settings import NameSettings

Score = Annotated[float, Field(ge=-1000, le=1_000_000)]
MAX_PREFIX_CHARACTERS = 60


def _prefix(text: str) -> str:
    if not (text.isascii() and text.isprintable() and len(text) <= MAX_PREFIX_CHARACTERS):
        raise ValueError(f"must be at most {MAX_PREFIX_CHARACTERS} printable ASCII characters")
    return text.strip()


def _domain(text: str) -> str:
    if text and not (is_domain(text) and text.isascii()):
        raise ValueError("must be a domain")
    return text.lower()


class ContentSettings(NameSettings):
    """What is checked, and from which scores on something is done.

    Attributes:
        authentication: SPF, DKIM, ARC, DMARC and the client's name are checked, of mail that is
            not of this house.
        spam_tag_score: Mail with such a score is marked as spam.
        spam_quarantine_score: It goes to Junk.
        spam_reject_score: It is refused.
        spam_hold_score: Mail with such a score that is taken waits for an operator; nothing: none does.
        spam_subject: What is put before the Subject of mail that is marked; empty for nothing.
        check_seconds: How long one check may take; authentication takes half of it for each of its
            three steps.
        arc_seal_domain: Strangers' mail that leaves again is sealed with this domain's key; empty: not.
        judging_concurrency: Messages judged at once; others wait for their turn.
    """

    authentication: bool = True
    spam_tag_score: Score = 5.0
    spam_quarantine_score: Score = 6.0
    spam_reject_score: Score = 15.0
    spam_hold_score: Score | None = None
    spam_subject: Annotated[str, AfterValidator(_prefix)] = ""
    check_seconds: Annotated[float, Field(gt=0, le=60)] = 10.0
    arc_seal_domain: Annotated[str, AfterValidator(_domain)] = ""
    judging_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 100

    @model_validator(mode="after")
    def _levels_rise(self) -> Self:
        if not self.spam_tag_score <= self.spam_quarantine_score <= self.spam_reject_score:
            raise ValueError(
                "POSTHOUSE_SPAM_TAG_SCORE, POSTHOUSE_SPAM_QUARANTINE_SCORE and "
                "POSTHOUSE_SPAM_REJECT_SCORE: must not fall from one to the next"
            )
        return self

    @property
    def levels(self) -> Levels:
        """The scores as one value."""
        return Levels(
            tag=self.spam_tag_score,
            quarantine=self.spam_quarantine_score,
            reject=self.spam_reject_score,
        )

    @property
    def marks(self) -> Marks:
        """How mail is marked as spam."""
        return Marks(tag_at=self.spam_tag_score, prefix=self.spam_subject)

    @property
    def patience(self) -> timedelta:
        """For each check."""
        return timedelta(seconds=self.check_seconds)
