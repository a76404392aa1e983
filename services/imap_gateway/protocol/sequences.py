"""Sequence sets (RFC 3501 §9 sequence-set): ranges of sequence numbers or of UIDs."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress, islice

from imap_gateway.protocol.cursor import MAX_NUMBER, BadSyntax, Cursor

STAR = 0  # stands for the largest number in use
MANY_RANGES = 16
SPREAD = 16  # messages for each number that is looked for
RANGES_AT_ONCE = 1000  # are written in one go, then other threads come

_NUMBER = rb"(?:[1-9][0-9]{0,9}|\*)"
_RANGE = _NUMBER + rb"(?::" + _NUMBER + rb")?"
_SET = re.compile(_RANGE + rb"(?:," + _RANGE + rb")*")
_ALONE = re.compile(rb"([1-9][0-9]{0,8})(?::([1-9][0-9]{0,8}))?(?= )")  # as nearly all sets are


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """Numbers as the client wrote them.

    Attributes:
        ranges: Pairs as written; `STAR` for ``*``; a range may be written backwards.
        is_saved: It is ``$``, what the last search saved (RFC 5182); then there are no ranges.
    """

    ranges: tuple[tuple[int, int], ...]
    is_saved: bool = False

    def resolve(self, largest: int) -> list[tuple[int, int]]:
        """Return ascending ranges that do not touch, ``*`` being ``largest``.

        Without any message ``*`` stands for nothing.
        """
        found = []
        for one, other in self.ranges:
            first, last = one or largest, other or largest
            if first and last:
                found.append((first, last) if first <= last else (last, first))
        if len(found) < 2:
            return found
        found.sort()
        merged: list[tuple[int, int]] = []
        end = -1  # of the last range in merged
        for first, last in found:
            if first > end + 1:
                merged.append((first, last))
                end = last
            elif last > end:
                merged[-1] = (merged[-1][0], last)
                end = last
        return merged

    def at_most(self, count: int) -> int:
        """Return how many of ``count`` messages can be meant, about, and quickly."""
        spans = (abs(a - b) + 1 if a and b else count for a, b in self.ranges)
        return min(sum(spans), count)

    def indexes_of_sequence(self, count: int) -> Sequence[int]:
        """Return the places (from 0) of these sequence numbers among ``count`` messages.

        Raises `BadSyntax` for a number of no message (RFC 3501 §9 seq-number: an error); only
        where there is no message at all, a range up to ``*`` is empty, for so clients ask.
        """
        for first, last in self.ranges:
            if max(first, last) > count and (count or STAR not in {first, last}):
                raise BadSyntax("no message with this sequence number")
        return _joined([range(first - 1, last) for first, last in self.resolve(count)])

    def indexes_of_uids(self, uids: Sequence[int]) -> Sequence[int]:
        """Return the places of those of these UIDs that are in ``uids`` (ascending)."""
        if len(self.ranges) >= MANY_RANGES and all(a == b != STAR for a, b in self.ranges):
            wanted = {uid for uid, _ in self.ranges}
            start, end = bisect_left(uids, min(wanted)), bisect_right(uids, max(wanted))
            if end - start <= SPREAD * len(wanted):  # quicker than to look for each
                return list(compress(range(start, end), map(wanted.__contains__, uids[start:end])))
        found, start = [], 0
        for first, last in self.resolve(uids[-1] if uids else 0):
            start = bisect_left(uids, first, start)
            end = bisect_right(uids, last, start) if last > first else start + 1
            if start < len(uids) and uids[start] <= last:
                found.append(range(start, end))
        return _joined(found)


def _joined(ranges: Sequence[range]) -> Sequence[int]:
    """Return all numbers of ``ranges``; one range stays one, which is quick to work with."""
    if len(ranges) == 1:
        return ranges[0]
    return list(chain.from_iterable(ranges))


def sequence_set(cursor: Cursor) -> SequenceSet:
    """``sequence-set = (seq-number / seq-range) *("," sequence-set) / "$"`` (RFC 5182 §3)."""
    if alone := _ALONE.match(cursor.data, cursor.at):
        cursor.at, first = alone.end(), int(alone[1])
        return SequenceSet(((first, int(alone[2]) if alone[2] else first),))
    if cursor.skip(b"$"):
        return SequenceSet((), is_saved=True)
    parts = cursor.take(_SET, "sequence-set")[0].split(b",")
    if all(map(bytes.isdigit, parts)):
        numbers = list(map(int, parts))
        _check(max(numbers))
        return SequenceSet(tuple(zip(numbers, numbers, strict=True)))
    return SequenceSet(tuple(map(_range, parts)))


def _range(text: bytes) -> tuple[int, int]:
    first, colon, last = text.partition(b":")
    number = _number(first)
    return (number, _number(last)) if colon else (number, number)


def _number(text: bytes) -> int:
    number = STAR if text == b"*" else int(text)
    _check(number)
    return number


def _check(number: int) -> None:
    if number > MAX_NUMBER:
        raise BadSyntax("number too large")


def runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield first and last of those that follow each other, in the order of ``numbers``."""
    if isinstance(numbers, range) and numbers.step == 1:
        if numbers:
            yield numbers[0], numbers[-1]
        return
    first = last = None
    for number in numbers:
        if last is not None and number == last + 1:
            last = number
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = number
    if first is not None and last is not None:
        yield first, last


def written(ranges: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    """Yield ranges as pieces of a sequence set, which commas are to join: ``1:3,5``."""
    ranges = iter(ranges)
    while part := list(islice(ranges, RANGES_AT_ONCE)):
        yield b",".join([b"%d" % a if a == b else b"%d:%d" % (a, b) for a, b in part])


def write_set(numbers: Iterable[int]) -> bytes:
    """Return ``numbers`` in their order as a sequence set: ``1:3,5``."""
    return b",".join(list(written(runs(numbers))))
