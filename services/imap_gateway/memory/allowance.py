"""So much time for something that several tasks do at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Allowance:
    """Seconds that are used up while anybody is at work."""

    __slots__ = ("_busy", "_left", "_since")

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._busy = 0
        self._since = 0.0

    @property
    def is_left(self) -> bool:
        """There is some."""
        return self._left > (asyncio.get_running_loop().time() - self._since if self._busy else 0)

    @asynccontextmanager
    async def spend(self) -> AsyncIterator[None]:
        """Be at work; raise `TimeoutError` in there when nothing is left."""
        if not self._busy:
            self._since = asyncio.get_running_loop().time()
        self._busy += 1
        try:
            async with asyncio.timeout_at(self._since + self._left):
                yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._left -= asyncio.get_running_loop().time() - self._since
