"""A recipient at the door that would be accepted, and who else has a say about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from posthouse.mail.admission import RcptQuestion, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What a step looks at.

    Attributes:
        question: What was asked; the recipient is who was meant.
        verdict: What the directory says: it accepts.
        is_trusted: Mail of this house: of an account, or of a network that may relay.
        is_answer: It came to a return path that we have signed: an answer to mail from here.
    """

    question: RcptQuestion
    verdict: Verdict
    is_trusted: bool
    is_answer: bool = False


class Step(Protocol):
    """One who has a say."""

    async def __call__(self, arrival: Arrival) -> Verdict | None:
        """Return the last word, which may accept; None leaves it to the steps behind this one.

        Raises `Unavailable`; then the asker gets no answer.
        """
