"""Whose turn it is to make messages searchable, or threads: few at once, and of an account one.

Some letters take long to read, and whoever sends himself a thousand of them must not keep others from searching.
What a search could answer without is made afterwards, a mailbox at a time (`imap_gateway.searching.covering`),
and steps aside while somebody waits for a search of texts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from weakref import WeakValueDictionary

from imap_gateway.view.shared import SharedView

FOLDED_AT_ONCE = 2  # batches of bodies, each up to 8 MiB, or one message
MAX_WANTED = 1000  # mailboxes; of one more the next search tells again
ASIDE_SECONDS = 1.0  # so long one batch steps aside at most


class Folding:
    """The turns of a process."""

    def __init__(self, at_once: int = FOLDED_AT_ONCE) -> None:
        self._gate = asyncio.Semaphore(at_once)
        self._accounts: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._wanted: dict[tuple[int, int], SharedView] = {}
        self._has_wanted = asyncio.Event()
        self._searches = 0
        self._is_quiet = asyncio.Event()
        self._is_quiet.set()

    def want(self, view: SharedView) -> None:
        """Have the headers of a mailbox folded soon; never waits."""
        if len(self._wanted) < MAX_WANTED:
            self._wanted[view.key] = view
            self._has_wanted.set()

    async def wanted(self) -> SharedView:
        """Wait for the next mailbox that is wanted."""
        while not self._wanted:
            self._has_wanted.clear()
            await self._has_wanted.wait()
        return self._wanted.pop(next(iter(self._wanted)))

    @contextmanager
    def search(self) -> Iterator[None]:
        """Read texts for somebody who waits."""
        self._searches += 1
        self._is_quiet.clear()
        try:
            yield
        finally:
            self._searches -= 1
            if not self._searches:
                self._is_quiet.set()

    async def step_aside(self) -> None:
        """Wait until nobody waits for texts, but not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ASIDE_SECONDS):
                await self._is_quiet.wait()

    @asynccontextmanager
    async def turn(self, account: int) -> AsyncIterator[None]:
        """Wait until nobody else works for this account, and few for others."""
        lock = self._accounts.setdefault(account, asyncio.Lock())
        async with lock, self._gate:
            yield
