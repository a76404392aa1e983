"""The octets of a message as they go on the wire after DATA (RFC 5321 §4.5.2). Pure.

What was stored is what is sent: dots at the start of lines are doubled, a ``Return-Path`` is left
out (RFC 5321 §4.4: only final delivery adds one), and nothing else changes, or signatures would
break. One exception: a bare CR or LF must not be sent (RFC 5321 §2.3.8), because another server may
see the end of the message in it; such line ends become CRLF.
"""

from __future__ import annotations

import re

FINAL_DOT = b".\r\n"

_RETURN_PATH = re.compile(rb"(?im)^return-path[ \t]*:(?:[^\n]|\n[ \t])*(?:\n|\Z)")
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


def without_return_path(start: bytes) -> bytes:
    """Return ``start``, which holds the header, without its Return-Path fields."""
    end = start.find(b"\r\n\r\n")
    header = start if end < 0 else start[: end + 2]
    if b"return-path" not in header.lower():
        return start
    return _RETURN_PATH.sub(b"", header) + start[len(header) :]


class LineEnds:
    """Mends line ends of a message that comes in pieces, and ends its last line.

    Attributes:
        mended: How many bare CR and LF became CRLF.
        at_line_start: What follows begins a line.
    """

    def __init__(self) -> None:
        self.mended = 0
        self.at_line_start = True
        self._held = b""  # a CR whose LF may come with the next piece

    def feed(self, piece: bytes) -> bytes:
        """Return what is to be sent for ``piece``."""
        octets = self._held + piece
        self._held = b""
        if octets.endswith(b"\r"):
            octets, self._held = octets[:-1], b"\r"
        return self._whole(octets)

    def finish(self) -> bytes:
        """Return what is to be sent at the end: text ends with a line end (RFC 5321 §2.3.8)."""
        rest = self._whole(self._held)
        return rest if self.at_line_start else rest + b"\r\n"

    def _whole(self, octets: bytes) -> bytes:
        if not octets:
            return b""
        lines = octets.count(b"\r\n")
        if octets.count(b"\n") != lines or octets.count(b"\r") != lines:
            octets, mended = _BARE.subn(b"\r\n", octets)
            self.mended += mended
        self.at_line_start = octets.endswith(b"\r\n")
        return octets


class DotStuffer:
    """Turns a message that comes in pieces into what is written after ``354``.

    Attributes:
        is_finished: True once the final dot was made.
    """

    def __init__(self) -> None:
        self.is_finished = False
        self._ends = LineEnds()

    @property
    def mended(self) -> int:
        """How many bare CR and LF became CRLF."""
        return self._ends.mended

    def feed(self, piece: bytes) -> bytes:
        """Return what is to be written for ``piece``."""
        begins = self._ends.at_line_start
        octets = self._ends.feed(piece)
        stuffed = octets.replace(b"\r\n.", b"\r\n..")
        return b"." + stuffed if begins and octets.startswith(b".") else stuffed

    def finish(self) -> bytes:
        """Return what is to be written at the end, the final dot included."""
        self.is_finished = True
        return self._ends.finish() + FINAL_DOT
