"""The unchanging columns of messages, from memory or in one query for what is missing."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import Final, TypeAlias, cast

from imap_gateway.memory.caches import OctetsCache
from posthouse.storage.contents import (
    Column,
    Place,
    Structure,
    read_column,
    read_places,
    read_start,
)
from posthouse.storage.pool import Pool

_MIB = 1024 * 1024
CACHE_OCTETS: Final[Mapping[Column, int]] = MappingProxyType(
    {
        "envelope": 24 * _MIB,
        "bodystructure": 16 * _MIB,
        "header": 16 * _MIB,
        "emailid": 4 * _MIB,
        "threadid": 4 * _MIB,
    }
)
MAX_PLACES = 20_000
START_OCTETS = 4 * _MIB  # of a column that are held at once; one structure is a million at most
PLACE_OCTETS = 2048  # messages of more parts are not kept: 40 MB at most, mostly a tenth

Ahead: TypeAlias = Callable[[], Iterable[int]]  # the contents that may be asked for next


class Contents:
    """Reads `contents`; `Unavailable` escapes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._caches = {column: OctetsCache[int](most) for column, most in CACHE_OCTETS.items()}
        self._places: OrderedDict[int, Place] = OrderedDict()

    async def column(
        self, account: int, column: Column, contents: Sequence[int], ahead: Ahead = tuple
    ) -> list[bytes]:
        """Return one column of ``contents`` in their order; ``header`` includes the prefix.

        What was deleted meanwhile is empty. If something must be read, ``ahead`` is read as well.
        """
        cache = self._caches[column]
        found = cache.get_all(contents)
        missing = [c for c, octets in zip(contents, found, strict=True) if octets is None]
        if not missing:
            return [octets or b"" for octets in found]
        next_ = [content for content in ahead() if content not in cache]
        read = await read_column(self._pool, account, column, missing + next_)
        cache.put_all(read)
        return [
            read.get(content, b"") if octets is None else octets
            for content, octets in zip(contents, found, strict=True)
        ]

    async def start(self, account: int, column: Structure, contents: Sequence[int]) -> list[bytes]:
        """Return a column of the first of ``contents`` as `column` does: as many as take few octets.

        A thousand structures can be a gigabyte.
        """
        cache = self._caches[column]
        found = cache.get_all(contents)
        if None in found:
            # Copies in one mailbox share their contents: each is read once.
            unknown = {c: None for c, octets in zip(contents, found, strict=True) if octets is None}
            read = await read_start(self._pool, account, column, list(unknown), START_OCTETS)
            cache.put_all({c: octets for c, octets in read.items() if octets is not None})
            found = [
                read.get(content, b"") if octets is None else octets
                for content, octets in zip(contents, found, strict=True)
            ]
        return _start(found)

    def known_places(self, contents: Iterable[int]) -> list[Place]:
        """Return where the octets of those of ``contents`` are of which that is in memory."""
        return [place for content in contents if (place := self._places.get(content)) is not None]

    async def places(
        self, account: int, contents: Sequence[int], ahead: Ahead = tuple
    ) -> dict[int, Place]:
        """Return where the octets of ``contents`` are; what was deleted meanwhile is missing.

        If something must be read, ``ahead`` is read as well: it may be asked for next.
        """
        found = {c: place for c in contents if (place := self._places.get(c)) is not None}
        missing = [content for content in contents if content not in found]
        if missing:
            missing += [content for content in ahead() if content not in self._places]
            read = await read_places(self._pool, account, missing)
            for content, place in read.items():
                if len(place.parts) + len(place.prefix) <= PLACE_OCTETS:
                    self._places[content] = place
            found |= read
            while len(self._places) > MAX_PLACES:
                self._places.popitem(last=False)
        return found


def _start(found: Sequence[bytes | None]) -> list[bytes]:
    """Return the first texts up to `START_OCTETS`, or to one that was not read; one at least."""
    whole = cast("Sequence[bytes]", found[: found.index(None)] if None in found else found)
    ends = list(accumulate(map(len, whole)))
    return list(whole[: bisect_left(ends, START_OCTETS) + 1])
