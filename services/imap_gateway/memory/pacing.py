"""How often others are told of one mailbox: at once, then less and less often while it changes on and on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final, TypeAlias

FIRST: Final = timedelta(milliseconds=50).total_seconds()
LONGEST: Final = timedelta(milliseconds=400).total_seconds()
_GROWTH: Final = 1.5

Key: TypeAlias = tuple[int, int]


class Pace:
    """When each mailbox may be told of again; one that rests is forgotten."""

    __slots__ = ("_gaps",)

    def __init__(self) -> None:
        self._gaps: dict[Key, tuple[float, float]] = {}  # told at, and how long not again

    def due(self, keys: Iterable[Key], now: float) -> list[Key]:
        """Return those of ``keys`` that may be told of; they are, then."""
        for key in [key for key, (told, gap) in self._gaps.items() if told + 2 * gap < now]:
            del self._gaps[key]
        found = []
        for key in keys:
            told, gap = self._gaps.get(key, (now - FIRST, FIRST / _GROWTH))
            if told + gap <= now:
                self._gaps[key] = now, min(gap * _GROWTH, LONGEST)
                found.append(key)
        return found
