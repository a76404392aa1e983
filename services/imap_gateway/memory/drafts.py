"""Octets of which nobody knows how many they will be: in memory while they are few, then in the spool."""

from __future__ import annotations

from typing import TypeAlias

from imap_gateway.errors import Refusal
from imap_gateway.memory.budget import Budget
from imap_gateway.memory.guests import Guest
from posthouse.mail.errors import Unavailable
from posthouse.runtime.spool import Spool, SpoolFile

HELD_OCTETS = 128 * 1024

Content: TypeAlias = bytes | SpoolFile


class Draft:
    """A message that grows; `close` it at the end."""

    def __init__(self, spool: Spool, budget: Budget, most: int, who: Guest | None = None) -> None:
        self._spool = spool
        self._budget = budget
        self._bounds = budget.bounds(who)
        self._spooled = 0  # octets
        self._most = most
        self._held = bytearray()
        self._size = 0
        self._file: SpoolFile | None = None

    async def add(self, octets: bytes) -> None:
        """Take the next octets; raise `Refusal` if they are too many, `Unavailable` without room."""
        self._size += len(octets)
        if self._size > self._most:
            raise Refusal("Message too large", b"TOOBIG")
        self._held += octets
        if len(self._held) > HELD_OCTETS:
            await self._spill()

    async def done(self) -> Content:
        """Return all that was added."""
        if self._file is None:
            return bytes(self._held)
        return await self._spill()

    async def _spill(self) -> SpoolFile:
        held, self._held = self._held, bytearray()
        if not self._budget.grow(len(held), self._bounds):
            raise Refusal("Too many large messages at once, try again later", b"LIMIT")
        self._spooled += len(held)
        try:
            if self._file is None:
                self._file = await self._spool.create()
            await self._file.append(held)
        except OSError as error:
            raise Unavailable("No room for large messages", detail=str(error)) from error
        return self._file

    def hand_over(self) -> None:
        """The file that `done` returned is closed, and counted, by somebody else."""
        self._file = None

    def close(self) -> None:
        """Forget it; harmless if that is so."""
        self._budget.give_back(self._spooled, self._bounds)
        self._spooled = 0
        if self._file is not None:
            self._file.close()
