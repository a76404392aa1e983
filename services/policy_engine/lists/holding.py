"""What waits for an operator: mail that an entry of our lists holds, or that has too many points.

All mail is looked at, that of this house too: a client that went wrong is often one of ours. A message
waits for all its recipients as soon as the list of one of them says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from policy_engine.content.pipeline import Judged
from policy_engine.lists.access import keys_of, lists_of
from policy_engine.lists.checks import MAX_RECIPIENTS, given_of
from posthouse.mail.access_keys import KINDS, Kind
from posthouse.storage.access import Entry, find_entries, kinds_that_hold
from posthouse.storage.pool import Pool

LOOK_EVERY = timedelta(seconds=2)  # of which kinds there are entries


class HoldLists:
    """Asks the lists of the house, of domains and of accounts."""

    def __init__(
        self, pool: Pool, level: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Hold what has ``level`` points or more, too; None: points hold nothing."""
        self._pool = pool
        self._level = level
        self._clock = clock
        self._kinds: frozenset[Kind] = frozenset()
        self._until = float("-inf")

    @property
    def is_idle(self) -> bool:
        """True if nothing is held."""
        return self._level is None and not self._kinds

    async def refresh(self) -> None:
        """See which entries there are, not older than `LOOK_EVERY`; raise `Unavailable`."""
        if self._until <= self._clock():
            self._kinds = await kinds_that_hold(self._pool)
            self._until = self._clock() + LOOK_EVERY.total_seconds()

    async def __call__(self, judged: Judged) -> str:
        """Return why ``judged`` waits, empty if it does not; raise `Unavailable`."""
        await self.refresh()
        found = await self._found(judged) if self._kinds else ()
        if found:
            first = min(found, key=lambda each: (KINDS.index(each.kind), each.key))
            return first.comment or f"{first.kind} {first.key}"
        score = judged.judgement.score
        if self._level is not None and score >= self._level:
            return f"{score:g} points of spam"
        return ""

    async def _found(self, judged: Judged) -> Sequence[Entry]:
        case = judged.case
        given = given_of(case, self._kinds)
        given["recipient"] = case.recipients[:MAX_RECIPIENTS]
        given["rule"] = [e.rule for e in judged.judgement.findings if not e.is_shadow]
        keys = keys_of([kind for kind in KINDS if kind in self._kinds], given)
        whose = {one for each in case.recipients[:MAX_RECIPIENTS] for one in lists_of(each)}
        if not keys:
            return ()
        return await find_entries(self._pool, keys, sorted(whose or lists_of("")), holding=True)
