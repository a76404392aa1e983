"""The unchanging columns of messages, from memory or in one query for what is missing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

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

CACHE_OCTETS = 64 * 1024 * 1024
MAX_PLACES = 20_000
START_OCTETS = (
    4 * 1024 * 1024
)  # of a column that are held at once; one structure is a million at most
PLACE_OCTETS = 2048  # messages of more parts are not kept: 40 MB at most, mostly a tenth


class Contents:
    """Reads `contents`; `Unavailable` escapes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._cache: OctetsCache[tuple[Column, int]] = OctetsCache(CACHE_OCTETS)
        self._places: OrderedDict[int, Place] = OrderedDict()

    async def column(self, account: int, column: Column, contents: Sequence[int]) -> list[bytes]:
        """Return one column of ``contents`` in their order; ``header`` includes the prefix.

        What was deleted meanwhile is empty.
        """
        found = [self._cache.get((column, content)) for content in contents]
        missing = [c for c, octets in zip(contents, found, strict=True) if octets is None]
        if not missing:
            return [octets or b"" for octets in found]
        read = await read_column(self._pool, account, column, missing)
        for content, octets in read.items():
            self._cache.put((column, content), octets)
        return [
            read.get(content, b"") if octets is None else octets
            for content, octets in zip(contents, found, strict=True)
        ]

    async def start(self, account: int, column: Structure, contents: Sequence[int]) -> list[bytes]:
        """Return a column of the first of ``contents`` as `column` does: as many as take few octets.

        A thousand structures can be a gigabyte.
        """
        known: dict[int, bytes | None] = {
            c: octets for c in contents if (octets := self._cache.get((column, c))) is not None
        }
        missing = [content for content in dict.fromkeys(contents) if content not in known]
        if missing:
            read = await read_start(self._pool, account, column, missing, START_OCTETS)
            for content, octets in read.items():
                if octets is not None:
                    self._cache.put((column, content), octets)
            known |= read
        found: list[bytes] = []
        weight = 0
        for content in contents:
            octets = known.get(content, b"")
            if octets is None or weight >= START_OCTETS:
                break
            found.append(octets)
            weight += len(octets)
        return found

    async def places(
        self, account: int, contents: Sequence[int], ahead: Sequence[int] = ()
    ) -> dict[int, Place]:
        """Return where the octets of ``contents`` are; what was deleted meanwhile is missing.

        If something must be read, ``ahead`` is read as well: it may be asked for next.
        """
        found = {c: place for c in contents if (place := self._places.get(c)) is not None}
        missing = [content for content in contents if content not in found]
        if missing:
            missing += [content for content in ahead if content not in self._places]
            read = await read_places(self._pool, account, missing)
            for content, place in read.items():
                if len(place.parts) + len(place.prefix) <= PLACE_OCTETS:
                    self._places[content] = place
            found |= read
            while len(self._places) > MAX_PLACES:
                self._places.popitem(last=False)
        return found
