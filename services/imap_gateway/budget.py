"""The octets that all connections together may hold for appended messages; late comers wait in line.

A message is parsed and stored as a whole, so what bounds the process is how many are here at once.
"""

from __future__ import annotations

import asyncio
from collections import deque

from imap_gateway.errors import Farewell

MAX_OCTETS = 192 * 1024 * 1024  # as announced; at work a message is held up to three times
FREE_OCTETS = 256 * 1024  # commands up to this size are not counted


class Budget:
    """Shares of memory, given in the order in which they were asked for."""

    def __init__(self, max_octets: int = MAX_OCTETS) -> None:
        self._max = max_octets
        self._held = 0
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def held(self) -> int:
        """Octets that were given."""
        return self._held

    async def take(self, octets: int) -> None:
        """Wait for a share; one that is larger than all there is comes when nobody else has any."""
        if not self._line and self._fits(octets):
            self._held += octets
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (octets, turn)
        self._line.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(octets)
            elif entry in self._line:
                self._line.remove(entry)
                self._serve()
            raise

    def give_back(self, octets: int) -> None:
        """Return a share."""
        self._held -= octets
        self._serve()

    def _serve(self) -> None:
        while self._line and self._fits(self._line[0][0]):
            octets, turn = self._line.popleft()
            if not turn.done():
                self._held += octets
                turn.set_result(None)

    def _fits(self, octets: int) -> bool:
        return not self._held or self._held + octets <= self._max


class Share:
    """What one connection holds of a budget, for the command that comes in."""

    __slots__ = ("_budget", "octets")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.octets = 0

    def covers(self, octets: int) -> bool:
        """True if so much may be held without asking."""
        return octets <= max(FREE_OCTETS, self.octets)

    async def take(self, octets: int) -> None:
        """Wait for so much; nobody takes twice: who holds some and waits for more stops all."""
        if self.octets:
            raise Farewell("Too many literals in one command")
        await self._budget.take(octets)
        self.octets = octets

    def give_back(self) -> None:
        """Hold nothing any more; harmless if that is so."""
        if self.octets:
            self._budget.give_back(self.octets)
            self.octets = 0
