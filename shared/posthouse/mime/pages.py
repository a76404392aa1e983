"""Octets that are read by the page: a large message is searched in the memory of two pages.

Offers what the scan asks of `bytes`. No single step takes longer than a page does, so that a
search through 50 MiB in a thread does not hold up the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from posthouse.mail.header import CRLF, header_end

PAGE_OCTETS = 256 * 1024
OVERLAP_OCTETS = 512  # of a page with the next one: nothing longer can be found
_KEPT = 2  # pages: a header may be read on one side of an edge and its body on the other


class Pages:
    """The octets that ``read`` returns for a start and an end; ``len()`` and ``[a:b]`` work too."""

    def __init__(
        self, size: int, read: Callable[[int, int], bytes], step: int = PAGE_OCTETS
    ) -> None:
        self._size = size
        self._read = read
        self._step = step
        self._kept: dict[int, bytes] = {}

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, end, _ = part.indices(self._size)
        number = start // self._step
        base = number * self._step
        if end - base <= self._step + OVERLAP_OCTETS:
            return self._page(number)[start - base : max(end, start) - base]
        return self._read(start, end)

    def find(self, sought: bytes, start: int = 0, end: int | None = None) -> int:
        """Return where ``sought`` begins, -1 if it does not lie between ``start`` and ``end``."""
        end = self._size if end is None else min(end, self._size)
        at = max(start, 0)
        while at < end:
            number = at // self._step
            base = number * self._step
            found = self._page(number).find(sought, at - base, end - base)
            if found >= 0:
                return base + found
            at = base + self._step
        return -1

    def count(self, sought: bytes, start: int, end: int) -> int:
        """Return how often ``sought``, one octet, lies between ``start`` and ``end``."""
        found, at = 0, start
        while at < end:
            number = at // self._step
            base = number * self._step
            after = min(end, base + self._step)
            found += self._page(number).count(sought, at - base, after - base)
            at = after
        return found

    def search(self, pattern: re.Pattern[bytes], start: int) -> tuple[int, int] | None:
        """Return where ``pattern``, of a few octets, is first matched from ``start`` on."""
        at = start
        while at < self._size:
            number = at // self._step
            base = number * self._step
            match = pattern.search(self._page(number), at - base)
            if match is not None:
                return base + match.start(), base + match.end()
            at = base + self._step
        return None

    def _page(self, number: int) -> bytes:
        page = self._kept.get(number)
        if page is None:
            if len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            start = number * self._step
            end = min(start + self._step + OVERLAP_OCTETS, self._size)
            page = self._kept[number] = self._read(start, end)
        return page


Octets: TypeAlias = bytes | Pages


def search(octets: Octets, pattern: re.Pattern[bytes], start: int) -> tuple[int, int] | None:
    """Return where ``pattern``, of a few octets, is first matched in ``octets`` from ``start`` on."""
    if isinstance(octets, Pages):
        return octets.search(pattern, start)
    match = pattern.search(octets, start)
    return match.span() if match else None


def body_start(octets: Octets) -> int:
    """Return where the header of ``octets`` ends: behind its empty line, or the length if it has none."""
    if isinstance(octets, bytes):
        return header_end(octets)
    if octets[: len(CRLF)] == CRLF:
        return len(CRLF)
    at = octets.find(CRLF * 2)
    return len(octets) if at < 0 else at + len(CRLF * 2)
