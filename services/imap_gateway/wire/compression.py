"""COMPRESS=DEFLATE: both ways of a connection in bounded memory (RFC 4978).

A window of 8 KiB serves what IMAP says nearly as well as one of 32 KiB; a client's window is its
own choice, so a compressed connection takes 32 KiB for its commands and 64 KiB for our answers.
"""

from __future__ import annotations

import zlib

PORTION_OCTETS = 64 * 1024  # no more comes out of a portion of a client's octets at once
LEVEL = 3  # 256 KiB take a few milliseconds

_RAW = -zlib.MAX_WBITS  # what a client sends: raw, with the largest window
_OURS = -13  # 2 ** 13 octets of window, raw
_MEMORY_LEVEL = 6  # 2 ** 15 octets of hash chains


class BadCompression(Exception):
    """What the client sends is no DEFLATE."""


class Inflater:
    """What a client compressed, a portion at a time."""

    __slots__ = ("_engine", "_is_more", "_packed")

    def __init__(self, packed: bytes) -> None:
        """Begin with ``packed``, octets that came already."""
        self._engine = zlib.decompressobj(_RAW)
        self._packed = packed
        self._is_more = bool(packed)

    @property
    def held(self) -> int:
        """Octets that came and were not looked at."""
        return len(self._packed)

    def feed(self, packed: bytes) -> None:
        """Take octets from the client."""
        self._packed += packed
        self._is_more = True

    def portion(self) -> bytes:
        """Return some of what they hold, nothing if all was returned; raise `BadCompression`."""
        if not self._is_more:
            return b""
        try:
            octets = self._engine.decompress(self._packed, PORTION_OCTETS)
        except zlib.error as error:
            raise BadCompression(str(error)) from error
        self._packed = self._engine.unconsumed_tail or self._engine.unused_data
        self._is_more = len(octets) == PORTION_OCTETS or bool(self._engine.unconsumed_tail)
        if self._engine.eof and not octets and self._packed:
            raise BadCompression("octets behind the end of the compressed ones")
        return octets

    def rest(self) -> bytes:
        """Return what came behind the end of what was compressed."""
        return self._packed if self._engine.eof else b""


class Deflater:
    """What we compress."""

    __slots__ = ("_engine", "_is_dirty")

    def __init__(self) -> None:
        self._engine = zlib.compressobj(LEVEL, zlib.DEFLATED, _OURS, _MEMORY_LEVEL)
        self._is_dirty = False

    def add(self, octets: bytes) -> bytes:
        """Return what may be sent of ``octets`` and those before."""
        self._is_dirty = True
        return self._engine.compress(octets)

    def flush(self) -> bytes:
        """Return what is still to be sent, so that the client can read all of it."""
        if not self._is_dirty:
            return b""
        self._is_dirty = False
        return self._engine.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        """Return the end: what comes behind it is not compressed."""
        return self._engine.flush(zlib.Z_FINISH)
