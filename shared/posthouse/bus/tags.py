"""Delivery tags: which acknowledgement says most with one frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Acknowledgement(NamedTuple):
    """One frame: this tag, or (multiple) all up to it."""

    tag: int
    multiple: bool


class Tags:
    """The settled tags of one channel, which counts its deliveries 1, 2, 3 ...

    A multiple acknowledgement covers all tags up to its own, so it may only be sent when they are
    all settled. Tags above the first gap are acknowledged one by one, without waiting for it.
    """

    def __init__(self) -> None:
        self._floor = 0  # all tags up to here are settled
        self._above: set[int] = set()  # settled tags above the first gap

    def settle(self, tags: Iterable[int]) -> list[Acknowledgement]:
        """Return the frames that acknowledge ``tags``; none of them was settled before."""
        fresh = set(tags)
        self._above |= fresh
        floor = self._floor
        while floor + 1 in self._above:
            floor += 1
            self._above.discard(floor)
        frames = [Acknowledgement(tag, multiple=False) for tag in sorted(fresh) if tag > floor]
        covered = sum(1 for tag in fresh if tag <= floor)
        if covered:
            last = max(tag for tag in fresh if tag <= floor)
            frames.insert(0, Acknowledgement(last, multiple=covered > 1))
        self._floor = floor
        return frames
