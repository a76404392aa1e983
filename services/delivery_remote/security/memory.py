"""What was found out is kept for a while: one looks, the others wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")
Clock = Callable[[], float]

MAX_KEPT = 20_000


class Memory(Generic[T]):
    """Values by name, each for the same time; of bounded size."""

    def __init__(self, kept_for: timedelta, clock: Clock = time.monotonic) -> None:
        self._seconds = kept_for.total_seconds()
        self._clock = clock
        self._kept: dict[str, tuple[float, T]] = {}
        self._looking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, name: str, look: Callable[[], Awaitable[T]]) -> T:
        """Return what is kept under ``name``, else what ``look`` finds; its exceptions go through."""
        kept = self._fresh(name)
        if kept is not None:
            return kept[1]
        lock = self._looking.setdefault(name, asyncio.Lock())
        async with lock:
            kept = self._fresh(name)
            if kept is not None:
                return kept[1]
            found = await look()
            self._keep(name, found)
            return found

    def _fresh(self, name: str) -> tuple[float, T] | None:
        kept = self._kept.get(name)
        return kept if kept is not None and kept[0] > self._clock() else None

    def _keep(self, name: str, found: T) -> None:
        now = self._clock()
        if len(self._kept) >= MAX_KEPT:
            self._kept = {key: kept for key, kept in self._kept.items() if kept[0] > now}
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[name] = (now + self._seconds, found)
