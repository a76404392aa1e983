"""Answering: questions of ingress, judged with a directory that is remembered for seconds.

A change by an operator reaches every pod within the sum of the two memories, this one and the
one in ingress: some five seconds.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from policy_engine.admission import Grounds, Network, judge, wanted
from policy_engine.routing import Resolve
from policy_engine.srs import Rewriter
from posthouse.mail.admission import Question, Verdict
from posthouse.storage import directory
from posthouse.storage.directory import Found
from posthouse.storage.pool import Pool
from posthouse.telemetry.metrics import counter

REMEMBER = timedelta(seconds=2)
REMEMBER_NETWORKS = timedelta(seconds=5)
MAX_REMEMBERED = 20_000

_ANSWERS = counter("posthouse_policy_answers_total", "Questions answered, by the rule.", "rule")


class Memory:
    """The directory, remembered for `REMEMBER`."""

    def __init__(self, resolve: Resolve, clock: Callable[[], float] = time.monotonic) -> None:
        self._resolve = resolve
        self._clock = clock
        self._remembered: OrderedDict[str, tuple[float, Found]] = OrderedDict()

    async def resolve(self, keys: Sequence[str]) -> dict[str, Found]:
        """Return what ``keys`` are, asking for all that is not fresh in one round trip."""
        now = self._clock()
        fresh = {key: at[1] for key in keys if (at := self._remembered.get(key)) and at[0] > now}
        stale = [key for key in keys if key not in fresh]
        if not stale:
            return fresh
        found = await self._resolve(stale)
        until = self._clock() + REMEMBER.total_seconds()
        for key, what in found.items():
            self._remembered[key] = (until, what)
            self._remembered.move_to_end(key)
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return fresh | found


class Networks:
    """Clients that may relay: those in the settings and those in the directory."""

    def __init__(self, pool: Pool, fixed: Sequence[Network]) -> None:
        self._pool = pool
        self._fixed = tuple(fixed)
        self._listed: tuple[Network, ...] = ()
        self._until = 0.0

    async def all(self) -> tuple[Network, ...]:
        """Return them, not older than `REMEMBER_NETWORKS`."""
        if self._until < time.monotonic():
            self._listed = tuple(each.network for each in await directory.networks(self._pool))
            self._until = time.monotonic() + REMEMBER_NETWORKS.total_seconds()
        return self._fixed + self._listed


class Enquiries:
    """The handler of questions."""

    def __init__(
        self,
        memory: Memory,
        networks: Networks,
        rewriter: Rewriter,
        *,
        hostname: str = "",
        has_postmaster: bool = False,
    ) -> None:
        self._memory = memory
        self._networks = networks
        self._rewriter = rewriter
        self._hostname = hostname
        self._has_postmaster = has_postmaster

    async def answer(self, question: Question) -> Verdict:
        """Judge ``question``; raises `Unavailable`, then the asker gets no answer."""
        verdict = judge(
            question,
            Grounds(
                known=await self._memory.resolve(wanted(question)),
                networks=await self._networks.all(),
                rewriter=self._rewriter,
                today=datetime.now(UTC).date(),
                hostname=self._hostname,
                has_postmaster=self._has_postmaster,
            ),
        )
        _ANSWERS.labels(verdict.rule).inc()
        return verdict
