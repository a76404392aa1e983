"""The octets of a message, from object storage to the wire in bounded pieces.

However large a message, a process holds one piece of it, and that only while it is sent: thousands
may be in hand at once, and wait for servers that take their time to answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from delivery_remote.transparency import without_return_path
from posthouse.blobs import Blobs
from posthouse.mail.envelope import Remote
from posthouse.mail.errors import MissingObject
from posthouse.mail.header import first

PIECE_OCTETS = 512 * 1024
KEPT_OCTETS = 64 * 1024  # a message that is larger is fetched again when it is sent
_EMPTY_LINE = b"\r\n\r\n"


class Octets:
    """One message: what its header says, and its octets where they lie.

    Attributes:
        has_plain_header: The header is ASCII: the message itself can go without SMTPUTF8.
        waives_tls: The sender would rather have it delivered than secured (RFC 8689 §3).
    """

    def __init__(self, blobs: Blobs, key: str, size: int, start: bytes) -> None:
        """``start`` is its first piece."""
        header = start.partition(_EMPTY_LINE)[0]
        self.has_plain_header = header.isascii()
        self.waives_tls = first(header, b"tls-required").lower() == "no"
        self._blobs = blobs
        self._key = key
        self._size = size
        self._start = start if len(start) <= KEPT_OCTETS else b""

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the octets as they are to be sent, without Return-Path (RFC 5321 §4.4)."""
        yield without_return_path(self._start or await self._piece(0))
        for at in range(PIECE_OCTETS, self._size, PIECE_OCTETS):
            yield await self._piece(at)

    async def _piece(self, at: int) -> bytes:
        return await _fetched(self._blobs, self._key, at, min(at + PIECE_OCTETS, self._size))


async def open_octets(blobs: Blobs, envelope: Remote) -> Octets:
    """Fetch the first piece.

    Raises:
        MissingObject: It is not there, or not whole.
        Unavailable: The object store is away.
    """
    key = envelope.blob
    start = await _fetched(blobs, key, 0, min(PIECE_OCTETS, envelope.size))
    return Octets(blobs, key, envelope.size, start)


async def _fetched(blobs: Blobs, key: str, start: int, end: int) -> bytes:
    piece = await blobs.get_range(key, start, end)
    if len(piece) != end - start:
        detail = f"{len(piece)} of {end - start} octets"
        raise MissingObject("the message is not whole", detail=detail)
    return piece
