"""The suppression list as it is asked: not at all while it is empty, as it is in most houses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from policy_engine.arrival import Arrival
from policy_engine.suppression import Pair, leaves, refusal
from posthouse.mail.admission import Verdict
from posthouse.storage.pool import Pool
from posthouse.storage.suppressing import Reason, held_back, is_anybody_suppressed

LOOK_EVERY = timedelta(seconds=2)  # whether there is anybody on it


class SuppressionList:
    """Asks the list; that its first row came is known within `LOOK_EVERY`."""

    def __init__(self, pool: Pool, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._is_empty = False
        self._until = 0.0

    async def __call__(self, arrival: Arrival) -> Verdict | None:
        """Refuse, at RCPT, what would not be sent on to a recipient outside."""
        asked, verdict = arrival.question, arrival.verdict
        if not leaves(asked, verdict):
            return None
        pair = asked.sender, asked.recipient
        reason = (await self.held_back([pair])).get(pair)
        return refusal(asked, verdict, reason) if reason else None

    async def held_back(self, pairs: Sequence[Pair]) -> Mapping[Pair, Reason]:
        """Return which pairs of sender and recipient are not served, and why."""
        if self._until <= self._clock():
            self._is_empty = not await is_anybody_suppressed(self._pool)
            self._until = self._clock() + LOOK_EVERY.total_seconds()
        return {} if self._is_empty else await held_back(self._pool, pairs)
