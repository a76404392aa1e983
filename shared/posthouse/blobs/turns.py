"""Turns: only so many large objects are stored at once; the others wait.

Whoever waits has no deadline, because a busy store is none that hangs: those before him have
theirs. When one of these is too slow, all who wait are told so instead of finding out in turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from posthouse.blobs.port import SLOWEST_OCTETS_PER_SECOND
from posthouse.mail.errors import Unavailable


class Turns:
    """Of one store."""

    def __init__(self, at_once: int, deadline: timedelta) -> None:
        """Let ``at_once`` have a turn, each for ``deadline`` and what its size takes besides."""
        self._free = at_once
        self._seconds = deadline.total_seconds()
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def turn(self, octets: int) -> AsyncIterator[None]:
        """Wait for a turn to store ``octets``, and hold it; raise `Unavailable` if it is too long."""
        await self._take()
        try:
            async with asyncio.timeout(self._seconds + octets / SLOWEST_OCTETS_PER_SECOND):
                yield
        except TimeoutError as late:
            self._dismiss()
            raise _too_slow() from late
        finally:
            self._give_back()

    async def _take(self) -> None:
        if self._free:
            self._free -= 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled() and mine.exception() is None:
                self._give_back()  # it was ours already
            raise

    def _give_back(self) -> None:
        while self._waiting:
            following = self._waiting.popleft()
            if not following.done():
                following.set_result(None)
                return
        self._free += 1

    def _dismiss(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for each in waiting:
            if not each.done():
                each.set_exception(_too_slow())


def _too_slow() -> Unavailable:
    return Unavailable("object store does not answer", detail="too slow with a large object")
