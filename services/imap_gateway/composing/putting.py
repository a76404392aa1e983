"""Small objects of one command on their way to the store together: there they share a flush."""

from __future__ import annotations

import asyncio

from posthouse.blobs import Blobs

HELD_OCTETS = 256 * 1024  # of what was gathered; then it goes
AT_ONCE = 64


class Puts:
    """What is to be durable before the rows are committed; `done` at the end."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._gathered: list[tuple[str, bytes]] = []
        self._octets = 0

    async def add(self, key: str, octets: bytes) -> None:
        """Take one more object; raise `Unavailable` if one of those before was not stored."""
        self._gathered.append((key, octets))
        self._octets += len(octets)
        if self._octets > HELD_OCTETS or len(self._gathered) == AT_ONCE:
            await self.done()

    async def done(self) -> None:
        """Return when all are durable; raise `Unavailable` if one is not."""
        gathered, self._gathered, self._octets = self._gathered, [], 0
        if len(gathered) == 1:
            await self._blobs.put(*gathered[0])
            return
        puts = (self._blobs.put(key, octets) for key, octets in gathered)
        for end in await asyncio.gather(*puts, return_exceptions=True):
            if isinstance(end, BaseException):
                raise end
