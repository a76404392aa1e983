"""The octets of messages: the prefix of the recipient, then the stored object.

Small objects are read whole and kept for a while, for clients ask for one message in pieces; of
large ones only the range that is wanted is read.
"""

from __future__ import annotations

from uuid import UUID

from imap_gateway.caches import OctetsCache
from posthouse.blobs import Blobs
from posthouse.mail.ids import object_key
from posthouse.storage.contents import Place

CACHE_OCTETS = 64 * 1024 * 1024
WHOLE_OCTETS = 256 * 1024  # objects up to this size are read whole


class Bodies:
    """Reads messages; `Unavailable` and `MissingObject` escape."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._cache: OctetsCache[UUID] = OctetsCache(CACHE_OCTETS)

    async def span(self, place: Place, start: int, end: int) -> bytes:
        """Return octets ``start`` to before ``end`` of the message, counted with its prefix."""
        prefix = len(place.prefix)
        end = min(end, prefix + place.size)
        head = place.prefix[start:end]
        first, last = max(start - prefix, 0), end - prefix
        if first >= last:
            return head
        octets = await self._object(place, first, last)
        return head + octets if head else octets

    async def _object(self, place: Place, first: int, last: int) -> bytes:
        whole = self._cache.get(place.object_id)
        key = object_key(place.object_id)
        if whole is None and place.size <= WHOLE_OCTETS:
            whole = await self._blobs.get(key)
            self._cache.put(place.object_id, whole)
        if whole is None:
            return await self._blobs.get_range(key, first, last)
        return whole if last - first == len(whole) else whole[first:last]
