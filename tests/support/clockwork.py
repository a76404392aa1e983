"""How long the event loop was held up: what one session costs all others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

LONGEST_SECONDS = 0.3  # 0.05 is what we want; machines that test are busy, and inserts go on
TICK_SECONDS = 0.002


@dataclass(slots=True)
class Clockwork:
    """How long the event loop was held up at most."""

    longest: float = 0.0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(TICK_SECONDS)
            self.longest = max(self.longest, loop.time() - before - TICK_SECONDS)


@asynccontextmanager
async def watched(what: str) -> AsyncIterator[None]:
    """Fail if the loop is held up for long meanwhile."""
    clockwork = Clockwork()
    task = asyncio.create_task(clockwork.run())
    try:
        yield
    finally:
        task.cancel()
    print(f"{what}: {clockwork.longest * 1000:.0f} ms")  # noqa: T201 - shown when it fails
    assert clockwork.longest < LONGEST_SECONDS, what
