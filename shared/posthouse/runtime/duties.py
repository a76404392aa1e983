"""Duties: what goes on in the background while its owner is open; a bug in one does not hide."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from types import TracebackType
from typing import Any


class Duties:
    """Begun where their owner is entered, ended where it is left."""

    def __init__(self) -> None:
        self._tasks = asyncio.TaskGroup()
        self._running: tuple[asyncio.Task[None], ...] = ()

    async def begin(self, *duties: Coroutine[Any, Any, None]) -> None:
        """Run ``duties``; an exception in one cancels whoever opened their owner."""
        await self._tasks.__aenter__()
        self._running = tuple(map(self._tasks.create_task, duties))

    async def finish(self, within: timedelta) -> None:
        """Return when all have come to their ends by themselves, or it took too long."""
        await asyncio.wait(self._running, timeout=within.total_seconds())

    async def end(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End those that still go on; raise what went wrong in one."""
        for duty in self._running:
            duty.cancel()
        await self._tasks.__aexit__(kind, error, trace)
