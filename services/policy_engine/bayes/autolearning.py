"""Learning by itself: what all other checks are sure of is learned for the site, beside the judgement.

It is off unless settings say from which scores on. What cannot be learned now is left out and
counted: nobody waits for it, and mail of that kind comes again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from policy_engine.content.case import Case
from policy_engine.content.pipeline import Judged
from posthouse.bayes.tokens import MAX_OCTETS, digest_of, tokens_of
from posthouse.mail.errors import Unavailable
from posthouse.storage.bayes.corpora import SITE
from posthouse.storage.bayes.learning import Lesson, learn
from posthouse.storage.pool import Pool
from posthouse.telemetry.metrics import counter
from posthouse.telemetry.outages import Outage

OF_OURS = "BAYES_"  # findings of the classifier: it is not its own teacher
MAX_WAITING = 64  # messages, of 256 KiB at most each
AT_ONCE = 20

_LEARNED = counter(
    "posthouse_policy_bayes_learned_total", "Messages learned by themselves, by outcome.", "outcome"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extremes:
    """From which scores on mail is learned; None: never.

    Attributes:
        spam: At least so much.
        ham: At most so much.
    """

    spam: float | None
    ham: float | None

    def kind_of(self, score: float) -> bool | None:
        """Return whether such mail is spam; None if it is not sure enough."""
        if self.spam is not None and score >= self.spam:
            return True
        return False if self.ham is not None and score <= self.ham else None


class AutoLearning:
    """Learns what was judged."""

    def __init__(self, pool: Pool, extremes: Extremes) -> None:
        self._pool = pool
        self._extremes = extremes
        self._waiting: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue(MAX_WAITING)

    def heard(self, judged: Judged) -> None:
        """Take note of a message of a stranger that was judged."""
        kind = None if judged.case.is_trusted else self._extremes.kind_of(score_of_others(judged))
        if kind is None:
            return
        if self._waiting.full():
            _LEARNED.labels("left out").inc()
            return
        self._waiting.put_nowait((_beginning(judged.case), kind))

    async def work(self) -> None:
        """Learn for ever what was noted."""
        outage = Outage("not learned from judged mail", "learned from judged mail again")
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < AT_ONCE and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                await self._learn(batch)
                outage.over()
            except Unavailable as trouble:
                _LEARNED.labels("left out").inc(len(batch))
                outage.away(str(trouble))

    async def _learn(self, batch: list[tuple[bytes, bool]]) -> None:
        lessons = await asyncio.to_thread(_lessons, batch)
        await learn(self._pool, SITE, lessons)
        for _, is_spam in batch:
            _LEARNED.labels("spam" if is_spam else "ham").inc()


def score_of_others(judged: Judged) -> float:
    """Return the sum of the scores without those of the classifier."""
    findings = judged.judgement.findings
    return sum(
        each.score for each in findings if not each.is_shadow and not each.rule.startswith(OF_OURS)
    )


def _beginning(case: Case) -> bytes:
    return case.octets[:MAX_OCTETS]


def _lessons(batch: list[tuple[bytes, bool]]) -> list[Lesson]:
    return [
        Lesson(digest=digest_of(octets), tokens=tokens_of(octets), is_spam=is_spam)
        for octets, is_spam in batch
    ]
