"""The keywords of the messages of a mailbox: a number for each combination that occurs.

Most mailboxes have none, and then nothing is kept. Where a message has any, each takes four octets,
in the order of `imap_gateway.view.rows.Rows`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import compress

OCTETS_PER_MESSAGE = 4
OCTETS_PER_COMBINATION = 300
CHUNK_MESSAGES = 10_000
_NONE: tuple[int, ...] = ()

Words = tuple[int, ...]  # numbers of keywords


class Labels:
    """By place."""

    __slots__ = ("_column", "_combinations", "_numbers")

    def __init__(self) -> None:
        self._column = array("I")
        self._combinations: list[Words] = [_NONE]
        self._numbers: dict[Words, int] = {_NONE: 0}

    def __bool__(self) -> bool:
        """True if a message may have keywords."""
        return bool(self._column)

    def __getitem__(self, place: int) -> Words:
        return self._combinations[self._column[place]] if self._column else _NONE

    @property
    def octets(self) -> int:
        """What they take, about."""
        combinations = OCTETS_PER_COMBINATION * len(self._combinations)
        return OCTETS_PER_MESSAGE * len(self._column) + combinations if self._column else 0

    def used(self) -> set[int]:
        """Return the numbers of all keywords that messages have, or had."""
        return {number for words in tuple(self._combinations) for number in words}

    def extend(self, count: int, new: Iterable[tuple[int, Words]]) -> None:
        """There are so many messages now; these places of the new ones have keywords."""
        if self._column:
            self._grow(count)
        for place, words in new:
            self.put(count, place, words)

    def put(self, count: int, place: int, words: Words) -> None:
        """Give keywords to a message of so many, or none."""
        if not self._column:
            if not words:
                return
            self._grow(count)
        number = self._numbers.get(words)
        if number is None:
            number = self._numbers[words] = len(self._combinations)
            self._combinations.append(words)
        self._column[place] = number

    def kept(self, keep: bytes | bytearray) -> Labels:
        """Return the keywords of the messages that ``keep`` marks."""
        labels = Labels()
        if self._column:
            labels._column = kept(self._column, keep)
            labels._combinations, labels._numbers = list(self._combinations), dict(self._numbers)
        return labels

    def _grow(self, count: int) -> None:
        lacking = count - len(self._column)
        self._column.frombytes(bytes(lacking * self._column.itemsize))


def kept(column: array[int], keep: Sequence[int]) -> array[int]:
    """Return what ``keep`` marks of a column, an octet for each message.

    Some are looked at in one go, so that other threads come between.
    """
    left = array(column.typecode)
    for start in range(0, len(column), CHUNK_MESSAGES):
        part, marks = column[start : start + CHUNK_MESSAGES], keep[start : start + CHUNK_MESSAGES]
        left.extend(compress(part, marks) if 0 in marks else part)
    return left
