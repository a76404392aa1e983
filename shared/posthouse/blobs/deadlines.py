"""One timer for all that is asked: each is given up when its time is over, if it is not done."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias

Done: TypeAlias = "asyncio.Future[None]"


class Deadlines:
    """Watches futures, all for equally long: who comes first is over first.

    Nearly all are done long before; a timer for each would cost more than what it watches.
    """

    def __init__(self, patience: timedelta, give_up: Callable[[Done], None]) -> None:
        self._seconds = patience.total_seconds()
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._line: deque[tuple[float, Done]] = deque()  # behind those that are done: a few
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, done: Done) -> None:
        """Give ``done`` up if it is not done in time."""
        self._forget_done()
        self._line.append((self._loop.time() + self._seconds, done))
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def close(self) -> None:
        """Give up nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _forget_done(self) -> None:
        while self._line and self._line[0][1].done():
            self._line.popleft()

    def _look(self) -> None:
        now, self._timer = self._loop.time(), None
        while self._line and (self._line[0][0] <= now or self._line[0][1].done()):
            _, done = self._line.popleft()
            if not done.done():
                self._give_up(done)
        if self._line:
            self._timer = self._loop.call_at(self._line[0][0], self._look)
