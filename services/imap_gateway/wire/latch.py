"""Where a connection waits: thousands of them idle, so what nobody waits at must cost nothing."""

from __future__ import annotations

import asyncio


class Latch:
    """Open or closed, as `asyncio.Event` is set or not; that one holds a queue of 760 octets.

    Attributes:
        is_open: Whoever comes goes on at once.
    """

    __slots__ = ("_opened", "is_open")

    def __init__(self, *, is_open: bool) -> None:
        self.is_open = is_open
        self._opened: asyncio.Future[None] | None = None

    def open(self) -> None:
        """Let those go on who wait."""
        self.is_open = True
        if self._opened is not None:
            self._opened.set_result(None)
            self._opened = None

    def close(self) -> None:
        """Let those wait who come."""
        self.is_open = False

    async def wait(self) -> None:
        """Return when it is open."""
        if self.is_open:
            return
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._opened])  # who is cancelled takes no other along
