"""The octets of a message, from object storage to the wire in bounded pieces.

However large a message and however many are sent at once, a process holds one piece of each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from delivery_remote.transparency import without_return_path
from posthouse.blobs import Blobs
from posthouse.mail.envelope import Remote
from posthouse.mail.errors import MissingObject
from posthouse.mail.header import first

PIECE_OCTETS = 512 * 1024
_EMPTY_LINE = b"\r\n\r\n"


class Octets:
    """One message: its first piece at hand, the rest where it lies."""

    def __init__(self, blobs: Blobs, key: str, size: int, first: bytes) -> None:
        self._blobs = blobs
        self._key = key
        self._size = size
        self._first = first

    @property
    def has_plain_header(self) -> bool:
        """True if the header is ASCII: the message itself can go without SMTPUTF8."""
        return self._first.partition(_EMPTY_LINE)[0].isascii()

    @property
    def waives_tls(self) -> bool:
        """True if the sender would rather have it delivered than secured (RFC 8689 §3)."""
        header = self._first.partition(_EMPTY_LINE)[0]
        return first(header, b"tls-required").lower() == "no"

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the octets as they are to be sent, without Return-Path (RFC 5321 §4.4)."""
        yield without_return_path(self._first)
        for start in range(len(self._first), self._size, PIECE_OCTETS):
            end = min(start + PIECE_OCTETS, self._size)
            yield _whole(await self._blobs.get_range(self._key, start, end), end - start)


async def open_octets(blobs: Blobs, envelope: Remote) -> Octets:
    """Fetch the first piece.

    Raises:
        MissingObject: It is not there, or not whole.
        Unavailable: The object store is away.
    """
    length = min(PIECE_OCTETS, envelope.size)
    first = _whole(await blobs.get_range(envelope.blob, 0, length), length)
    return Octets(blobs, envelope.blob, envelope.size, first)


def _whole(piece: bytes, length: int) -> bytes:
    if len(piece) != length:
        raise MissingObject("the message is not whole", detail=f"{len(piece)} of {length} octets")
    return piece
