"""Pages of what SEARCH and FETCH answer (RFC 9394)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from imap_gateway.protocol.cursor import MAX_NUMBER, BadSyntax, Cursor

_PARTIAL = re.compile(rb"(-?)([1-9]\d{0,9}):(-?)([1-9]\d{0,9})")


@dataclass(frozen=True, slots=True)
class Partial:
    """A page of results (RFC 9394 §3.1): counted from 1, or from the end.

    Attributes:
        first: As the client wrote it; ``last`` likewise. Negative numbers count from the end.
    """

    first: int
    last: int

    def cut(self, count: int) -> slice:
        """Return which of ``count`` results these are."""
        low, high = sorted((abs(self.first), abs(self.last)))
        if self.first > 0:
            return slice(min(low - 1, count), min(high, count))
        return slice(max(count - high, 0), max(count - low + 1, 0))

    def __str__(self) -> str:
        return f"{self.first}:{self.last}"


def partial_range(cursor: Cursor) -> Partial:
    """``partial-range = partial-range-first / partial-range-last`` (RFC 9394 §4)."""
    found = cursor.take(_PARTIAL, "a range")
    if found[1] != found[3] or max(int(found[2]), int(found[4])) > MAX_NUMBER:
        raise BadSyntax("no such range")
    return Partial(int(found[1] + found[2]), int(found[3] + found[4]))
