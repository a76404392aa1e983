"""Body hashes (RFC 6376 §3.4.3, §3.4.4, §3.7), piece by piece: a large body is never in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, TypeAlias

Canon: TypeAlias = Literal["simple", "relaxed"]

_CRLF = b"\r\n"


@dataclass(frozen=True, slots=True)
class Digest:
    """Of one body in one form.

    Attributes:
        octets: The SHA-256 hash.
        size: Octets of the canonical body: what ``l=`` counts (§3.5).
    """

    octets: bytes
    size: int


class BodyHash:
    """Hashes one body in one form as it comes."""

    def __init__(self, canon: Canon) -> None:
        self._is_relaxed = canon == "relaxed"
        self._hash = sha256()
        self._size = 0
        self._rest = b""  # the beginning of a line
        self._empty = 0  # empty lines held back: at the end they do not count

    def update(self, octets: bytes) -> None:
        """Take the next octets."""
        octets = self._rest + octets
        end = octets.rfind(_CRLF) + len(_CRLF)
        if end < len(_CRLF):
            self._rest = octets
            return
        self._rest = octets[end:]
        self._take(octets[:end])

    def finish(self) -> Digest:
        """Return the hash; a last line without its end gets one (§3.4.3, §3.4.4)."""
        if self._rest:
            self._take(self._rest + _CRLF)
            self._rest = b""
        if not self._size and not self._is_relaxed:
            self._add(_CRLF)  # §3.4.3: an empty body is one line end; relaxed it is nothing
        return Digest(self._hash.digest(), self._size)

    def _take(self, lines: bytes) -> None:
        """Take complete lines."""
        if self._is_relaxed:
            lines = _relaxed(lines)
        body = _without_empty_lines(lines)
        if body:
            if self._empty:
                self._add(_CRLF * self._empty)
                self._empty = 0
            self._add(body)
        self._empty += (len(lines) - len(body)) // len(_CRLF)

    def _add(self, octets: bytes) -> None:
        self._hash.update(octets)
        self._size += len(octets)


def digest_bodies(pieces: Iterable[bytes], canons: Collection[Canon]) -> Mapping[Canon, Digest]:
    """Return the hashes of the body that ``pieces`` are, in the forms ``canons``."""
    hashes = {canon: BodyHash(canon) for canon in canons}
    for piece in pieces if hashes else ():
        for each in hashes.values():
            each.update(piece)
    return {canon: each.finish() for canon, each in hashes.items()}


def _relaxed(lines: bytes) -> bytes:
    """Return ``lines`` with one space for each run of white space, and none at their ends (§3.4.4).

    Of a text with a space at the end of some line patterns take fifteen times as long.
    """
    lines = lines.replace(b"\t", b" ")
    while b"  " in lines:  # a run becomes half as long each time
        lines = lines.replace(b"  ", b" ")
    return lines.replace(b" \r\n", _CRLF)


def _without_empty_lines(lines: bytes) -> bytes:
    """Return ``lines`` without the empty ones at their end."""
    end = len(lines)
    while lines.endswith(b"\r\n\r\n", 0, end):
        end -= len(_CRLF)
    return b"" if lines[:end] == _CRLF else lines[:end]
