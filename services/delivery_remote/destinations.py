"""All next hops of this process: lends their sessions, closes what is idle, forgets the unused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

from delivery_remote.next_hop import Clock, Destination, Limits
from delivery_remote.routes import Target
from delivery_remote.session import Manners, Session, open_session
from posthouse.telemetry.metrics import gauge

SWEEP_SECONDS = 1.0
FORGET_SECONDS = 3600.0  # what is known of a destination is kept this long after its last use
MAX_KNOWN = 20_000  # destinations; above it those of no use at the moment are forgotten at once

_known = gauge("posthouse_remote_destinations", "Next hops we remember something of")
_resting = gauge("posthouse_remote_destinations_resting", "Next hops that are not asked now")


class Destinations:
    """All next hops of this process; use it as a context manager around the consumers."""

    def __init__(self, manners: Manners, limits: Limits, clock: Clock = time.monotonic) -> None:
        self.manners = manners
        self.limits = limits
        self._clock = clock
        self._table: dict[str, Destination] = {}
        self._tasks = asyncio.TaskGroup()
        self._kept = 0  # sessions kept open, counted at each sweep and never too low between them

    async def __aenter__(self) -> Destinations:
        await self._tasks.__aenter__()
        self._sweeper = self._tasks.create_task(self._sweep(), name="sweep destinations")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._sweeper.cancel()
        for destination in self._table.values():
            for session in destination.outdated(everything=True):
                self._part(session)
        await self._tasks.__aexit__(kind, raised, traceback)

    def get(self, name: str) -> Destination:
        """Return the destination ``name``; what is known of it, or a blank one."""
        destination = self._table.get(name)
        if destination is None:
            destination = self._table[name] = Destination(name, self.limits, self._clock)
        destination.touch()
        return destination

    @asynccontextmanager
    async def session(self, destination: Destination, target: Target) -> AsyncIterator[Session]:
        """Lend a session with ``target``: a kept one, or a new one.

        Raises:
            Refused: No session came about.
        """
        session = destination.take(target) or await self._open(destination, target)
        try:
            yield session
        finally:
            self._give_back(destination, session)

    async def _open(self, destination: Destination, target: Target) -> Session:
        plain = destination.is_plain(target)
        session = await open_session(target, self.manners, plain=plain)
        if session.has_failed_tls:
            destination.remember_plain(target)
        return session

    def _give_back(self, destination: Destination, session: Session) -> None:
        is_spent = (
            session.served >= self.limits.transactions
            or time.monotonic() - session.opened > self.limits.lifetime.total_seconds()
            or self._kept >= self.limits.idle_sessions
        )
        if session.is_usable and not is_spent:
            destination.keep(session)
            self._kept += 1
        else:
            self._part(session)

    def _part(self, session: Session) -> None:
        """Say goodbye without letting anybody wait for it."""
        if session.is_usable:
            self._tasks.create_task(session.quit(), name="say goodbye")
        else:
            session.abort()

    async def _sweep(self) -> None:
        """Close what is idle and forget what is unused, for ever."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep()

    def sweep(self) -> None:
        """Close sessions that are idle for too long; forget destinations that are unused."""
        for destination in self._table.values():
            for session in destination.outdated():
                self._part(session)
        bound = FORGET_SECONDS if len(self._table) <= MAX_KNOWN else 0.0
        self._table = {
            name: destination
            for name, destination in self._table.items()
            if destination.unused() <= bound
        }
        self._kept = sum(each.idle_count for each in self._table.values())
        _known.set(len(self._table))
        _resting.set(sum(1 for each in self._table.values() if each.resting()))
