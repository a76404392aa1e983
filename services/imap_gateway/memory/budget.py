"""The octets that all connections together may have in the spool; late comers wait in line.

Of these an account has a quarter at most, and a client network a half: who announces much and sends
it drop by drop keeps itself waiting, and nobody else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from imap_gateway.errors import Farewell
from imap_gateway.memory.guests import Guest

MAX_OCTETS = 4 * 1024 * 1024 * 1024  # announced, or put together or decoded here
OF_ACCOUNT = 4  # the part of these that it may have
OF_CLIENT = 2  # likewise of a client network: an office is many people

Bounds = Mapping[Hashable, int]
_NOBODY: Bounds = MappingProxyType({})


@dataclass(eq=False, slots=True)
class _Waiting:
    octets: int
    bounds: Bounds
    turn: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Budget:
    """Shares of the spool, given in the order in which they were asked for, as far as one may have them."""

    def __init__(self, max_octets: int = MAX_OCTETS) -> None:
        self._max = max_octets
        self._held = 0
        self._parts: Counter[Hashable] = Counter()
        self._line: list[_Waiting] = []

    @property
    def held(self) -> int:
        """Octets that were given."""
        return self._held

    def bounds(self, who: Guest | None) -> Bounds:
        """Return how much somebody may have, by the names that it is counted under."""
        if who is None:
            return _NOBODY
        bounds: dict[Hashable, int] = {who.account: self._max // OF_ACCOUNT}
        if who.client:
            bounds[who.client] = self._max // OF_CLIENT
        return bounds

    async def take(self, octets: int, bounds: Bounds = _NOBODY) -> None:
        """Wait for a share; one that is larger than may be comes when there is no other."""
        entry = _Waiting(octets, bounds)
        self._line.append(entry)
        self._serve()
        try:
            await entry.turn
        except asyncio.CancelledError:
            if entry in self._line:
                self._line.remove(entry)
                self._serve()
            else:
                self.give_back(octets, bounds)
            raise

    def grow(self, octets: int, bounds: Bounds = _NOBODY) -> bool:
        """Give so much more to somebody who holds some, if it is there."""
        fits = self._fits(octets) and not any(self._beyond(octets, bounds))
        if fits:
            self._give(octets, bounds)
        return fits

    def give_back(self, octets: int, bounds: Bounds = _NOBODY) -> None:
        """Return a share."""
        self._give(-octets, bounds)
        for name in bounds:
            if not self._parts[name]:
                del self._parts[name]
        self._serve()

    def _serve(self) -> None:
        """Give to those in line, in their order; who has had its part stands aside, no others."""
        aside: set[Hashable] = set()
        left: list[_Waiting] = []
        for at, entry in enumerate(self._line):
            aside.update(self._beyond(entry.octets, entry.bounds))
            if not aside.isdisjoint(entry.bounds):
                left.append(entry)
            elif not self._fits(entry.octets):
                left += self._line[at:]
                break
            elif not entry.turn.done():
                self._give(entry.octets, entry.bounds)
                entry.turn.set_result(None)
        self._line = left

    def _give(self, octets: int, bounds: Bounds) -> None:
        self._held += octets
        for name in bounds:
            self._parts[name] += octets

    def _fits(self, octets: int) -> bool:
        return not self._held or self._held + octets <= self._max

    def _beyond(self, octets: int, bounds: Bounds) -> Iterator[Hashable]:
        """Yield the names under which so much would be too much."""
        for name, most in bounds.items():
            part = self._parts[name]
            if part and part + octets > most:
                yield name


class Share:
    """What one connection holds of a budget, for the command that comes in.

    Attributes:
        who: Has logged in there.
    """

    __slots__ = ("_bounds", "_budget", "octets", "who")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._bounds = _NOBODY
        self.octets = 0
        self.who: Guest | None = None

    def covers(self, octets: int) -> bool:
        """True if so much may be held without asking."""
        return octets <= self.octets

    async def take(self, octets: int) -> None:
        """Wait for so much; who holds some does not wait for more, for that would stop all."""
        if not self.octets:
            self._bounds = self._budget.bounds(self.who)
            await self._budget.take(octets, self._bounds)
        elif not self._budget.grow(octets - self.octets, self._bounds):
            raise Farewell("Too many large messages at once, try again later")
        self.octets = octets

    def give_back(self) -> None:
        """Hold nothing any more; harmless if that is so."""
        if self.octets:
            self._budget.give_back(self.octets, self._bounds)
            self.octets = 0
