"""A cache bounded by octets: the longest unused entries go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_ENTRY_OCTETS = 200  # what an entry costs beside its octets


class OctetsCache(Generic[K]):
    """Octets that never change, by key."""

    def __init__(self, max_octets: int) -> None:
        self._max = max_octets
        self._octets = 0
        self._entries: OrderedDict[K, bytes] = OrderedDict()

    def get(self, key: K) -> bytes | None:
        """Return an entry, None if it is not here."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: K, octets: bytes) -> None:
        """Keep an entry, unless it would take more than an eighth of all."""
        cost = len(octets) + _ENTRY_OCTETS
        if key in self._entries or cost > self._max // 8:
            return
        self._entries[key] = octets
        self._octets += cost
        while self._octets > self._max:
            _, old = self._entries.popitem(last=False)
            self._octets -= len(old) + _ENTRY_OCTETS
