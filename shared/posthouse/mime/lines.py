"""Base64 in lines of one length: which of its octets hold which of the decoded ones (RFC 2045 §6.8).

Nearly all base64 is so written, and then any piece of it can be read and decoded without the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_WIDTH = 4096  # characters of a line; RFC 2045 allows 76
MAX_TAIL_OCTETS = 8192  # behind the regular lines: the last line, and what is no base64

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_LINE_END = b"\r\n"


@dataclass(frozen=True, slots=True)
class Lines:
    """The regular lines that an encoded part begins with; all of them are full.

    Attributes:
        width: Characters of each, in whole groups of four.
        count: How many they are.
        size: Octets of the encoded part.
    """

    width: int
    count: int
    size: int

    def encoded(self, start: int, end: int) -> tuple[int, int, int]:
        """Return which encoded octets hold the decoded ones ``start`` to before ``end``.

        The third number tells how many decoded octets come before those that were asked for.
        """
        octets = self.width // 4 * 3  # of a line
        step = self.width + len(_LINE_END)
        line, at = divmod(min(start, octets * self.count), octets)
        first, skipped = line * step + at // 3 * 4, line * octets + at // 3 * 3
        last = self.size
        if end <= octets * self.count:
            line, at = divmod(end, octets)
            last = line * step + (at + 2) // 3 * 4
        return first, last, start - skipped


class LineFinder:
    """Looks through an encoded part, portion by portion."""

    def __init__(self) -> None:
        self._open = b""
        self._width = self._count = self._size = 0
        self._is_over = False

    def feed(self, octets: bytes) -> None:
        """Look at the next ``octets``."""
        self._size += len(octets)
        if self._is_over:
            return
        text = self._open + octets
        if not self._width:
            self._width = max(text.find(_LINE_END, 0, MAX_WIDTH + len(_LINE_END)), 0)
            self._is_over = bool(self._width % 4) or (not self._width and len(text) > MAX_WIDTH)
        if not self._is_over and self._width:
            text = self._without_lines(text)
        self._open = b"" if self._is_over else text

    def found(self) -> Lines | None:
        """Return the lines of all that was looked at; None if too much is not regular."""
        lines = Lines(self._width, self._count, self._size)
        tail = self._size - self._count * (self._width + len(_LINE_END))
        return lines if self._count and tail <= MAX_TAIL_OCTETS else None

    def _without_lines(self, text: bytes) -> bytes:
        step = self._width + len(_LINE_END)
        count = len(text) // step
        if not self._are_lines(text[: count * step], count):
            self._is_over = True
            starts = range(0, count * step, step)
            regular = (self._are_lines(text[at : at + step], 1) for at in starts)
            count = next(number for number, one in enumerate(regular) if not one)
        self._count += count
        return text[count * step :]

    def _are_lines(self, text: bytes, count: int) -> bool:
        step = self._width + len(_LINE_END)
        return (
            text[self._width :: step] == b"\r" * count
            and text[self._width + 1 :: step] == b"\n" * count
            and len(text.translate(None, _ALPHABET)) == count * len(_LINE_END)
        )
