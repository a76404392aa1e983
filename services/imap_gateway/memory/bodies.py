"""The octets of messages: the prefix of the recipient, then the stored object.

Small objects are read whole and kept for a while, for clients ask for one message in pieces, and
for one after the other: those of several messages are read in one go. Of large ones only the range
that is wanted is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from uuid import UUID

from imap_gateway.memory.caches import OctetsCache
from posthouse.blobs import Blobs
from posthouse.mail.errors import MissingObject
from posthouse.mail.ids import object_key
from posthouse.storage.contents import Place
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

CACHE_OCTETS = 64 * 1024 * 1024
WHOLE_OCTETS = 256 * 1024  # objects up to this size are read whole


log = get_logger()
_missing = counter(
    "posthouse_imap_objects_missing_total", "Reads of messages whose object is gone or damaged."
)


class Bodies:
    """Reads messages; `Unavailable` and `MissingObject` escape, the latter told and counted."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._cache: OctetsCache[UUID] = OctetsCache(CACHE_OCTETS)

    def has(self, places: Iterable[Place]) -> bool:
        """Say whether `load` would read nothing."""
        return all(place.object_id in self._cache or place.size > WHOLE_OCTETS for place in places)

    async def load(
        self, places: Sequence[Place], ahead: Callable[[], Iterable[Place]] = tuple
    ) -> None:
        """Read small objects in one go, so that `span` finds them; what is missing `span` tells.

        If something must be read, ``ahead`` is read as well: it may be asked for next.
        """
        if self.has(places):
            return
        wanted = {
            place.object_id: object_key(place.object_id)
            for place in (*places, *ahead())
            if place.size <= WHOLE_OCTETS and place.object_id not in self._cache
        }
        if len(wanted) == 1:
            return
        found = await self._blobs.get_many(list(wanted.values()))
        for ident, octets in zip(wanted, found, strict=True):
            if octets is not None:
                self._cache.put(ident, octets)

    async def objects(self, places: Sequence[Place]) -> list[bytes | None]:
        """Return whole objects, None for what is gone or damaged, which is told; nothing is kept."""
        small = [place for place in places if place.size <= WHOLE_OCTETS]
        read = await self._blobs.get_many([object_key(place.object_id) for place in small])
        known = {place.object_id: octets for place, octets in zip(small, read, strict=True)}
        return [await self._sound(place, known.get(place.object_id)) for place in places]

    async def _sound(self, place: Place, octets: bytes | None) -> bytes | None:
        if octets is not None and len(octets) == place.size:
            return octets
        start = len(place.prefix)
        with suppress(MissingObject):
            return await self.span(place, start, start + place.size)
        return None

    async def span(self, place: Place, start: int, end: int) -> bytes:
        """Return octets ``start`` to before ``end`` of the message, counted with its prefix."""
        prefix = len(place.prefix)
        end = min(end, prefix + place.size)
        head = place.prefix[start:end]
        first, last = max(start - prefix, 0), end - prefix
        if first >= last:
            return head
        try:
            whole = self._cache.get(place.object_id)
            octets = await self._read(place, first, last) if whole is None else whole[first:last]
            if len(octets) != last - first:
                raise MissingObject("The message is damaged", detail=f"{place.object_id} is short")
        except MissingObject as missing:
            _missing.inc()
            log.error("object missing", message=str(place.object_id), reason=str(missing))  # noqa: TRY400 - no bug of ours
            raise
        return head + octets if head else octets

    async def _read(self, place: Place, first: int, last: int) -> bytes:
        key = object_key(place.object_id)
        if place.size > WHOLE_OCTETS:
            return await self._blobs.get_range(key, first, last)
        whole = await self._blobs.get(key)
        self._cache.put(place.object_id, whole)
        return whole[first:last]
