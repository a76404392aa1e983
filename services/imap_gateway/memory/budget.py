"""The octets that all connections together may have in the spool; late comers wait in line."""

from __future__ import annotations

import asyncio
from collections import deque

from imap_gateway.errors import Farewell

MAX_OCTETS = 4 * 1024 * 1024 * 1024  # announced, or put together or decoded here


class Budget:
    """Shares of the spool, given in the order in which they were asked for."""

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

    def grow(self, octets: int) -> bool:
        """Give so much more to somebody who holds some, if it is there."""
        fits = self._fits(octets)
        self._held += octets * fits
        return fits

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
        return octets <= self.octets

    async def take(self, octets: int) -> None:
        """Wait for so much; who holds some does not wait for more, for that would stop all."""
        if not self.octets:
            await self._budget.take(octets)
        elif not self._budget.grow(octets - self.octets):
            raise Farewell("Too many large messages at once, try again later")
        self.octets = octets

    def give_back(self) -> None:
        """Hold nothing any more; harmless if that is so."""
        if self.octets:
            self._budget.give_back(self.octets)
            self.octets = 0
