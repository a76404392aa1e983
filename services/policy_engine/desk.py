"""The desk: takes whatever is asked to whom it concerns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from policy_engine.content.bench import Bench
from policy_engine.enquiries import Enquiries
from posthouse.mail.admission import Question, Verdict
from posthouse.mail.content import ContentQuestion, ContentVerdict

Asked: TypeAlias = Question | ContentQuestion


@dataclass(frozen=True, slots=True)
class Desk:
    """The handler of all questions.

    Attributes:
        enquiries: Answers about senders and recipients.
        bench: Judges whole messages.
    """

    enquiries: Enquiries
    bench: Bench

    async def answer(self, question: Asked) -> Verdict | ContentVerdict:
        """Answer ``question``; raises `Unavailable`, then the asker gets no answer."""
        if isinstance(question, ContentQuestion):
            return await self.bench.answer(question)
        return await self.enquiries.answer(question)
