"""Some messages of a mailbox as marks: an octet for each row, 1 for those that are meant.

All is done some thousands at a time: what is made or unmade whole of a million holds up all threads.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import TypeAlias

from imap_gateway.view.rows import Rows

AT_ONCE = 10_000  # messages
PART_BITS = 12  # of numbers: so many may be in one part of a large set

Marks: TypeAlias = bytearray


class Numbers(Container[int]):
    """A set of very many numbers, in parts."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._parts: defaultdict[int, set[int]] = defaultdict(set)
        for number in numbers:
            self._parts[number >> PART_BITS].add(number)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and number in self._parts.get(number >> PART_BITS, ())


def unpacked(packed: bytes) -> Iterator[int]:
    """Yield numbers of eight octets each."""
    step = AT_ONCE * 8
    for start in range(0, len(packed), step):
        numbers = array("q", packed[start : start + step])
        if sys.byteorder == "little":
            numbers.byteswap()
        yield from numbers


def contents_of(rows: Rows, places: Sequence[int]) -> array[int]:
    """Return the contents of these messages."""
    contents = array("Q")
    for start in range(0, len(places), AT_ONCE):
        part = places[start : start + AT_ONCE]
        if isinstance(part, range) and part.step == 1:
            contents.extend(rows.contents[part.start : part.stop])
        else:
            contents.extend([rows.contents[place] for place in part])
    return contents


def marked(rows: Rows, places: Sequence[int], hits: Container[int]) -> Marks:
    """Mark those of ``places`` whose contents are among ``hits``."""
    marks, contents = bytearray(len(rows)), rows.contents
    for place in places:
        if contents[place] in hits:
            marks[place] = 1
    return marks


def marked_packed(rows: Rows, places: Sequence[int], packed: bytes) -> Marks:
    """Mark those of ``places`` whose contents are among the packed ones."""
    is_small = len(packed) <= AT_ONCE * 8
    hits = set(unpacked(packed)) if is_small else Numbers(unpacked(packed))
    return marked(rows, places, hits)


def marked_uids(rows: Rows, packed: bytes) -> Marks:
    """Mark the messages with the packed UIDs, which ascend."""
    marks, here, at = bytearray(len(rows)), rows.uids, 0
    for start in range(0, len(packed), AT_ONCE * 8):
        words = array("I", packed[start : start + AT_ONCE * 8])
        if sys.byteorder == "little":
            words.byteswap()
        uids = words[1::2]
        at = bisect_left(here, uids[0], at)
        end = at + len(uids)
        if here[at:end] == uids:  # mostly all of some days
            marks[at:end] = b"\1" * len(uids)
        else:
            for place in rows.places(uids):
                marks[place] = 1
    return marks


def mark(marks: Marks, here: Sequence[int], uids: Iterable[int]) -> None:
    """Mark these UIDs, of those that are ``here``, which ascend and are as many as marks, or more."""
    count, next_ = len(marks), 0
    if isinstance(uids, array) and uids:
        start = bisect_left(here, uids[0], 0, count)
        end = start + len(uids)
        if end <= count and here[start:end] == uids:  # mostly all of them stand side by side
            marks[start:end] = b"\1" * len(uids)
            return
    for uid in uids:
        if next_ >= count or here[next_] != uid:  # mostly neighbours follow each other
            next_ = bisect_left(here, uid, 0, count)
        if next_ < count and here[next_] == uid:
            marks[next_] = 1
            next_ += 1


def places_of(marks: Marks) -> Iterator[int]:
    """Yield where the marks are. Sets and sorting would do for few; of a million they stop all threads."""
    at, end = marks.find(1), marks.rfind(1) + 1
    if marks.count(1) == end - at:
        yield from range(at, end)
        return
    while at >= 0:
        yield at
        at = marks.find(1, at + 1)
