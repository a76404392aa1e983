"""Which keys stand in our lists: a pod keeps their hashes, so that most mail asks PostgreSQL nothing.

What is new is read every second or so, by the moment it was written; what was removed stays for up to
an hour, and costs a question. With more keys than fit in memory every mail asks, which costs the same
with any number of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from posthouse.mail.access_keys import Kind
from posthouse.storage.access import DIGEST_OCTETS, Key, News, digest_of, news
from posthouse.storage.pool import Pool

MAX_KEYS = 200_000  # some 15 MB
ANEW = timedelta(hours=1)
OVERLAP = timedelta(minutes=1)  # a transaction may be seen later than it began
IN_THREAD_OCTETS = 1000 * DIGEST_OCTETS


class Keyring:
    """Knows which keys may have an entry."""

    def __init__(
        self, pool: Pool, clock: Callable[[], float] = time.monotonic, most: int = MAX_KEYS
    ) -> None:
        """Keep ``most`` keys."""
        self._pool = pool
        self._most = most
        self._clock = clock
        self._known: set[bytes] = set()
        self._is_whole = False
        self._since: datetime | None = None
        self._anew = float("-inf")

    async def refresh(self) -> frozenset[Kind]:
        """Learn what is new; return of which kinds there are entries. Raise `Unavailable`."""
        since = self._since if self._clock() < self._anew else None
        found = await news(self._pool, since, self._most + 1)
        digests = await _parted(found)
        if since is None:  # whoever else refreshes at the same time loses nothing by that
            self._known, self._is_whole = digests, True
            self._anew = self._clock() + ANEW.total_seconds()
        else:
            self._known |= digests
        if len(self._known) > self._most:
            self._known, self._is_whole = set(), False
        self._since = found.at - OVERLAP
        return found.kinds

    def likely(self, keys: Sequence[Key]) -> list[Key]:
        """Return those of ``keys`` that may have an entry."""
        if not self._is_whole:
            return list(keys)
        return [key for key in keys if digest_of(key) in self._known]


async def _parted(found: News) -> set[bytes]:
    if len(found.digests) > IN_THREAD_OCTETS:
        return await asyncio.to_thread(_digests, found.digests)
    return _digests(found.digests)


def _digests(octets: bytes) -> set[bytes]:
    return {octets[at : at + DIGEST_OCTETS] for at in range(0, len(octets), DIGEST_OCTETS)}
