"""Small objects of one command on their way to the store: together they share a flush."""

from __future__ import annotations

import asyncio

from posthouse.blobs import Blobs

HELD_OCTETS = 256 * 1024  # under way at once
AT_ONCE = 64


class Puts:
    """What is to be durable before the rows are committed; `done` at the end."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._begun: list[asyncio.Future[None]] = []
        self._octets = 0

    async def add(self, key: str, octets: bytes) -> None:
        """Begin one more object; raise `Unavailable` if one of those before was not stored."""
        if self._begun and (
            self._octets + len(octets) > HELD_OCTETS or len(self._begun) == AT_ONCE
        ):
            await self.done()
        self._begun.append(self._blobs.begin(key, octets))
        self._octets += len(octets)

    async def done(self) -> None:
        """Return when all are durable; raise `Unavailable` if one is not."""
        begun, self._begun, self._octets = self._begun, [], 0
        for one in begun:
            await one
