"""Matching: many patterns over one text at once, then what each of them has found.

Simple patterns, words in a row, are run together as one automaton. Those with gaps would make it
as large as it is slow: they go through RE2's filter, which finds by their literals which of them can
match at all. It reads only ASCII; what is neither runs together, in small portions. All of it costs
time linear in the text, whoever wrote it, and memory that is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import re2

from posthouse.rules.perl import options

MANY: Final = 1_000  # patterns in one filter, or simple ones in one automaton
FEW: Final = 100  # others in one automaton
MEMORY: Final = 16 * 1024 * 1024  # of one automaton
SEEN_OCTETS: Final = 80  # of what was found are shown

# No repetition but of single blanks or digits, no gap.
_SIMPLE = re.compile(rb"(?:\(\?[ims]+\))?(?:[^\\.*+{|\[]|\\[^sSdDwW]|\\[sd]\+?|\\[swd])*")
_WIDE = re.compile(rb"[\x80-\xff]|\\x\{?[89A-Fa-f]|\\[0-7]")


class _Many(Protocol):
    def possible(self, text: bytes) -> Sequence[int]:
        """Return the numbers of all that can be found in ``text``."""
        ...


class _Filtered:
    def __init__(self, patterns: Sequence[bytes]) -> None:
        self._filter = re2.Filter()
        for pattern in patterns:
            self._filter.Add(pattern, options())
        self._filter.Compile()

    def possible(self, text: bytes) -> Sequence[int]:
        return self._filter.Match(text, True) or ()  # noqa: FBT003 - RE2's: only what can match


class _Together:
    def __init__(self, patterns: Sequence[bytes]) -> None:
        chosen = options()
        chosen.max_mem = MEMORY
        self._count = len(patterns)
        self._set = re2.Set.SearchSet(chosen)
        for pattern in patterns:
            self._set.Add(pattern)
        self._set.Add(b"")  # always found: if it is not, the memory was too small
        self._set.Compile()

    def possible(self, text: bytes) -> Sequence[int]:
        numbers = self._set.Match(text) or ()
        if self._count not in numbers:
            return range(self._count)  # each is looked for by itself
        return [number for number in numbers if number != self._count]


class Patterns:
    """Patterns that look at the same text; known by their numbers."""

    def __init__(self, patterns: Sequence[bytes], *, by_lines: bool = False) -> None:
        """Compile ``patterns``; ``by_lines``: nothing is found that reaches over a line's end."""
        self._by_lines = by_lines
        self._compiled = [re2.compile(each, options()) for each in patterns]
        simple, wide, others = list[int](), list[int](), list[int]()
        for at, each in enumerate(patterns):
            is_simple = _SIMPLE.fullmatch(each) is not None
            (simple if is_simple else wide if _WIDE.search(each) else others).append(at)
        self._many: list[tuple[list[int], _Many]] = []
        for numbers in _portions(simple, MANY):
            self._many.append((numbers, _Together([patterns[at] for at in numbers])))
        for numbers in _portions(wide, FEW):
            self._many.append((numbers, _Together([patterns[at] for at in numbers])))
        for numbers in _portions(others, MANY):
            self._many.append((numbers, _Filtered([patterns[at] for at in numbers])))

    def possible(self, text: bytes) -> Iterator[int]:
        """Yield the numbers of those that may be found: `hits` has the last word."""
        for numbers, many in self._many:
            yield from map(numbers.__getitem__, many.possible(text))

    def hits(self, number: int, text: bytes, most: int) -> list[bytes]:
        """Return what one of them finds, ``most`` of it at most."""
        regexp = self._compiled[number]
        if not self._by_lines:
            return _some(regexp, text, most)
        first = regexp.search(text)
        if most == 1 and first is not None and b"\n" not in first[0]:
            return [first[0][:SEEN_OCTETS]]
        seen: list[bytes] = []
        for line in text.split(b"\n") if first is not None else ():
            seen += _some(regexp, line, most - len(seen))
            if len(seen) >= most:
                break
        return seen


def _portions(numbers: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(numbers), size):
        yield list(numbers[start : start + size])


def _some(regexp: re2._Regexp, text: bytes, most: int) -> list[bytes]:
    seen: list[bytes] = []
    if most < 1:
        return seen
    for match in regexp.finditer(text):
        seen.append(match[0][:SEEN_OCTETS])
        if len(seen) >= most:
            break
    return seen
