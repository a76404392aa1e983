"""Which messages went away, as ranges of UIDs (RFC 7162 §3.2.5.2, §3.2.6, §3.2.10).

Ranges are pairs of the first and the last UID, ascending: a million that went in one piece is one
pair. What went is either known from the history of the mailbox, or it is all that is not there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import TypeAlias

Range: TypeAlias = tuple[int, int]


def joined(uids: Iterable[int]) -> list[Range]:
    """Return ascending ``uids`` as ranges."""
    found: list[Range] = []
    first = last = 0
    for uid in uids:
        if uid != last + 1 or not first:
            if first:
                found.append((first, last))
            first = uid
        last = uid
    if first:
        found.append((first, last))
    return found


def among(gone: Sequence[int], wanted: Sequence[Range]) -> list[Range]:
    """Return those of ``gone`` (ascending) that lie in the ranges ``wanted``."""
    found: list[Range] = []
    for first, last in wanted:
        found += joined(gone[bisect_left(gone, first) : bisect_right(gone, last)])
    return found


def missing(here: Sequence[int], wanted: Sequence[Range]) -> list[Range]:
    """Return what of the ranges ``wanted`` is not among ``here`` (ascending)."""
    found: list[Range] = []
    for first, last in wanted:
        next_ = first
        for uid in here[bisect_left(here, first) : bisect_right(here, last)]:
            if uid > next_:
                found.append((next_, uid - 1))
            next_ = uid + 1
        if next_ <= last:
            found.append((next_, last))
    return found


def above(ranges: Sequence[Range], floor: int, last: int) -> list[Range]:
    """Return what of ``ranges`` lies above ``floor`` and not above ``last``."""
    return [(max(a, floor + 1), min(b, last)) for a, b in ranges if b > floor and a <= last]


def last_match(here: Sequence[int], numbers: Sequence[Range], uids: Sequence[Range]) -> int:
    """Return the highest UID that a client numbers as we do, 0 if there is none.

    Up to it the client misses nothing (§3.2.5.2): as many messages are below it here as there, and
    those here are among those there. ``here`` are the UIDs by sequence number; ``numbers`` and
    ``uids`` stand for as many messages each, the n-th for the n-th.
    """
    highest, pairs = 0, list(uids)[::-1]
    for number, last in numbers:
        while number <= last and pairs:
            uid, last_uid = pairs.pop()
            span = min(last - number, last_uid - uid)
            highest = _match(here, number, uid, span) or highest
            number += span + 1  # noqa: PLW2901 - walks along the range
            if uid + span < last_uid:
                pairs.append((uid + span + 1, last_uid))
    return highest


def _match(here: Sequence[int], number: int, uid: int, span: int) -> int:
    """Return the highest UID of ``uid`` to ``uid + span`` that has its number, 0 if none has.

    UIDs rise at least as quickly as numbers: where ours is too high, all that follow are.
    """
    end = min(span + 1, len(here) - number + 1)
    place = bisect_right(range(max(end, 0)), 0, key=lambda n: here[number - 1 + n] - (uid + n)) - 1
    return uid + place if place >= 0 and here[number - 1 + place] == uid + place else 0


def written(ranges: Iterable[Range]) -> bytes:
    """Return ranges as a sequence set: ``1:3,5``."""
    return b",".join(b"%d" % a if a == b else b"%d:%d" % (a, b) for a, b in ranges)
