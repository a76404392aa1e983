"""8-bit mail for a server without 8BITMIME, converted on a disk of this machine (RFC 6152 §3).

However large a message is, a process holds a few portions of it: it is fetched, converted and sent
from files, which are in memory as long as they are small.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import IO

from delivery_remote.session.mail import Mail
from posthouse.mail.errors import TemporaryFailure
from posthouse.mime import Pages
from posthouse.mime.transport import in_seven_bits
from posthouse.telemetry.metrics import counter

IN_MEMORY_OCTETS = 256 * 1024  # while a server takes its time to answer, too
ON_DISK_AT_ONCE = 2
_GROWTH = 1.5  # at most, in the shorter of the two encodings, with their line ends
_PIECE_OCTETS = 512 * 1024

_converted = counter(
    "posthouse_remote_converted_total", "Messages converted for servers without 8BITMIME"
)


async def has_eight_bits(mail: Mail) -> bool:
    """True if ``mail`` has an octet above 127, whatever its client declared."""
    async for piece in mail.pieces():
        if not piece.isascii():
            return True
    return False


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where messages are converted; large ones on disk, and a few of these at once.

    Attributes:
        places: For messages that may not stay in memory, until they are handed over.
    """

    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ON_DISK_AT_ONCE))

    @asynccontextmanager
    async def narrowed(self, mail: Mail) -> AsyncIterator[Mail]:
        """Yield ``mail`` as a server can take it that knows 7 bits only.

        Raises:
            Unconvertible: It has a part that must not be changed, or cannot be.
            TemporaryFailure: There is no room for it.
        """
        async with AsyncExitStack() as stack:
            if mail.size * _GROWTH > IN_MEMORY_OCTETS:
                await stack.enter_async_context(self.places)
            with tempfile.SpooledTemporaryFile(IN_MEMORY_OCTETS) as after:
                try:
                    size = await _fill(after, mail)
                except OSError as full:
                    why = "no room to convert the message"
                    raise TemporaryFailure(why, detail=str(full)) from full
                _converted.inc()
                yield replace(mail, body="7BIT", size=size, pieces=_pieces(after, size))


async def _fill(after: IO[bytes], mail: Mail) -> int:
    """Fill ``after`` with ``mail`` in 7 bits; return how many octets that are."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY_OCTETS) as before:
        async for piece in mail.pieces():
            await asyncio.to_thread(before.write, piece)
        return await asyncio.to_thread(_convert, before, after)


def _convert(before: IO[bytes], after: IO[bytes]) -> int:
    pages = Pages(before.tell(), lambda start, end: _read(before, start, end))
    return sum(map(after.write, in_seven_bits(pages)))


def _read(file: IO[bytes], start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)


def _pieces(file: IO[bytes], size: int) -> Callable[[], AsyncIterator[bytes]]:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, size, _PIECE_OCTETS):
            yield await asyncio.to_thread(_read, file, at, min(at + _PIECE_OCTETS, size))

    return pieces
