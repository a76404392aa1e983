"""The octets of a message as it came, and the object that is made of them once it is judged.

The original lies under a key of its own and is never changed. The object that all stations read is
written once: the header that was recorded, over the body of the original. Who writes it again,
because somebody died before, writes the same; what is left of the original is the collector's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from posthouse.authenticity.excerpt import WHOLE_OCTETS
from posthouse.blobs import Blobs
from posthouse.mail.envelope import Inbound
from posthouse.mail.errors import MissingObject, Unavailable
from posthouse.mail.header import header_end
from posthouse.mail.ids import object_key
from posthouse.mime.pages import body_start
from posthouse.runtime.spool import Spool, SpoolFile

PIECE_OCTETS = 1024 * 1024  # of a large one, read at once
LARGE_AT_ONCE = 2

Octets: TypeAlias = bytes | SpoolFile


@dataclass(frozen=True, slots=True)
class Originals:
    """Reads and writes objects; large ones through ``spool``, a few at a time."""

    blobs: Blobs
    spool: Spool
    turns: asyncio.Semaphore = field(default_factory=partial(asyncio.Semaphore, LARGE_AT_ONCE))

    @asynccontextmanager
    async def opened(self, mail: Inbound) -> AsyncIterator[Octets]:
        """Give the octets of ``mail`` as it came.

        Raises:
            Unavailable: They cannot be read now, or there is no room for them.
            MissingObject: They are not there.
        """
        if mail.size <= WHOLE_OCTETS:
            yield await self.blobs.get(mail.blob)
            return
        async with self.turns:
            file = await self._new()
            try:
                await self._fetch(mail, file)
                yield file
            finally:
                file.close()

    async def write(self, mail: Inbound, original: Octets, header: bytes) -> int:
        """Store ``mail`` under ``header``; return its size. The same again is harmless.

        Raises:
            Unavailable: It is not stored.
        """
        key = object_key(mail.id)
        if isinstance(original, bytes):
            octets = header + original[header_end(original) :]
            await self.blobs.put(key, octets)
            return len(octets)
        start = await original.work(body_start, original.pages())
        new = await self._new()
        try:
            await new.append(header)
            await new.copy(original, start)
            await self.blobs.put_file(key, new.descriptor)
            return new.size
        except OSError as trouble:
            raise _no_room(trouble) from trouble
        finally:
            new.close()

    async def _fetch(self, mail: Inbound, file: SpoolFile) -> None:
        for start in range(0, mail.size, PIECE_OCTETS):
            end = min(start + PIECE_OCTETS, mail.size)
            piece = await self.blobs.get_range(mail.blob, start, end)
            if len(piece) != end - start:
                raise MissingObject("the message is not whole", detail=mail.blob)
            try:
                await file.append(piece)
            except OSError as trouble:
                raise _no_room(trouble) from trouble

    async def _new(self) -> SpoolFile:
        try:
            return await self.spool.create()
        except OSError as trouble:
            raise _no_room(trouble) from trouble


def _no_room(trouble: OSError) -> Unavailable:
    return Unavailable("a large message cannot be judged now", detail=f"spool: {trouble}")
