"""Whose turn it is to make messages searchable, or threads: few at once, and of an account one.

Some letters take long to read, and whoever sends himself a thousand of them must not keep others from searching.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

FOLDED_AT_ONCE = 2  # batches of bodies, each up to 8 MiB, or one message


class Folding:
    """The turns of a process."""

    def __init__(self, at_once: int = FOLDED_AT_ONCE) -> None:
        self._gate = asyncio.Semaphore(at_once)
        self._accounts: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, account: int) -> AsyncIterator[None]:
        """Wait until nobody else works for this account, and few for others."""
        lock = self._accounts.setdefault(account, asyncio.Lock())
        async with lock, self._gate:
            yield
