"""The desk: takes whatever is asked to whom it concerns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from policy_engine.content.bench import Bench
from policy_engine.enquiries import Enquiries
from policy_engine.explaining import Explainer
from posthouse.mail.admission import Question, Verdict
from posthouse.mail.content import ContentQuestion, ContentVerdict
from posthouse.mail.explaining import ExplainQuestion, Explanation

Asked: TypeAlias = Question | ContentQuestion | ExplainQuestion


@dataclass(frozen=True, slots=True)
class Desk:
    """The handler of all questions.

    Attributes:
        enquiries: Answers about senders and recipients.
        bench: Judges whole messages.
        explainer: Tells what both would say.
    """

    enquiries: Enquiries
    bench: Bench
    explainer: Explainer

    async def answer(self, question: Asked) -> Verdict | ContentVerdict | Explanation:
        """Answer ``question``; raises `Unavailable`, then the asker gets no answer."""
        if isinstance(question, ExplainQuestion):
            return await self.explainer.answer(question)
        if isinstance(question, ContentQuestion):
            return await self.bench.answer(question)
        return await self.enquiries.answer(question)
