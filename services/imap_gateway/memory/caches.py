"""A cache bounded by octets, in two generations.

What is put or used is young. When the young ones have half of the room, they become the old ones,
and what was old until then is forgotten: nothing is noted for a hit among the young, so thousands
are looked up in the time of one.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_ENTRY_OCTETS = 200  # what an entry costs beside its octets


class OctetsCache(Generic[K]):
    """Octets that never change, by key."""

    def __init__(self, max_octets: int) -> None:
        self._max = max_octets
        self._young: dict[K, bytes] = {}
        self._old: dict[K, bytes] = {}
        self._octets = 0  # of the young ones

    def __contains__(self, key: K) -> bool:
        """True if there is an entry now."""
        return key in self._young or key in self._old

    def get(self, key: K) -> bytes | None:
        """Return an entry, None if it is not here."""
        found = self._young.get(key)
        return self._renewed(key) if found is None else found

    def get_all(self, keys: Sequence[K]) -> list[bytes | None]:
        """Return the entries in the order of their keys, None for those that are not here."""
        found = list(map(self._young.get, keys))
        if self._old and None in found:
            return [self._renewed(k) if o is None else o for k, o in zip(keys, found, strict=True)]
        return found

    def put(self, key: K, octets: bytes) -> None:
        """Keep an entry, unless it would take more than an eighth of all."""
        if key not in self:
            self._put(key, octets)

    def put_all(self, entries: Mapping[K, bytes]) -> None:
        """Keep entries; new ones go in together, if there is room."""
        cost = sum(map(len, entries.values())) + _ENTRY_OCTETS * len(entries)
        is_new = self._young.keys().isdisjoint(entries)
        if not is_new or cost > self._max // 8 or self._octets + cost > self._max // 2:
            for key, octets in entries.items():
                self.put(key, octets)
            return
        self._young.update(entries)
        self._octets += cost

    def _put(self, key: K, octets: bytes) -> None:
        cost = len(octets) + _ENTRY_OCTETS
        if cost > self._max // 8:
            return
        if self._octets + cost > self._max // 2:
            self._old, self._young, self._octets = self._young, {}, 0
        self._young[key] = octets
        self._octets += cost

    def _renewed(self, key: K) -> bytes | None:
        """Return an old entry, which is young from now on."""
        found = self._old.pop(key, None)
        if found is not None:
            self._put(key, found)
        return found
