"""A message as classic hosts keep it: lines end with LF; in an mbox ``From `` is quoted. Pure."""

from __future__ import annotations

import re

# RFC 4155, the variant that can be undone (mboxrd): one > more, however many there are.
_FROM = re.compile(rb"^(>*From )", re.MULTILINE)
_MAX_HELD_OCTETS = 1000  # of an unfinished line; a longer one has begun with something else


class UnixLines:
    """Turns a message that comes in pieces into what is written to a file."""

    def __init__(self, *, quotes_from: bool) -> None:
        self._quotes_from = quotes_from
        self._held = b""
        self._at_line_start = True

    def feed(self, piece: bytes) -> bytes:
        """Return what is to be written for ``piece``."""
        octets = self._held + piece
        end = octets.rfind(b"\n") + 1
        if len(octets) - end > _MAX_HELD_OCTETS:
            end = len(octets) - octets.endswith(b"\r")
        self._held = octets[end:]
        return self._written(octets[:end])

    def finish(self) -> bytes:
        """Return what is to be written at the end; the last line is whole."""
        rest = self._written(self._held)
        return rest if self._at_line_start else rest + b"\n"

    def _written(self, octets: bytes) -> bytes:
        if not octets:
            return b""
        lines = octets.replace(b"\r\n", b"\n")
        if self._quotes_from and b"From " in lines:
            lines = self._quoted(lines)
        self._at_line_start = lines.endswith(b"\n")
        return lines

    def _quoted(self, lines: bytes) -> bytes:
        if self._at_line_start:
            return _FROM.sub(rb">\1", lines)
        first, newline, rest = lines.partition(b"\n")  # the rest of a line that has begun
        return first + newline + _FROM.sub(rb">\1", rest)
