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
from posthouse.mail.errors import Unavailable
from posthouse.storage.access import DIGEST_OCTETS, Key, News, digest_of, news
from posthouse.storage.pool import Pool

MAX_KEYS = 200_000  # some 15 MB
ANEW = timedelta(hours=1)
# A transaction is seen later than it began: a short one by the next look, a long one by a wide look.
OVERLAP = timedelta(seconds=3)
WIDE_OVERLAP = timedelta(minutes=2)
WIDE_EVERY = timedelta(seconds=30)
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
        self._kinds: frozenset[Kind] = frozenset()
        self._at: datetime | None = None
        self._anew = self._wide = float("-inf")
        self._turn = asyncio.Lock()
        self._looks = 0
        self._trouble = ""

    async def refresh(self) -> frozenset[Kind]:
        """Learn what is new; return of which kinds there are entries. Raise `Unavailable`.

        Who comes while somebody looks waits for that, and sees what that one sees.
        """
        looks = self._looks
        async with self._turn:
            if self._looks == looks:
                self._trouble = ""
                try:
                    await self._look()
                except Unavailable as trouble:
                    self._trouble = str(trouble)
                self._looks += 1
        if self._trouble:
            raise Unavailable(self._trouble)
        return self._kinds

    async def _look(self) -> None:
        since = self._since()
        found = await news(self._pool, since, self._most + 1)
        digests = await _parted(found)
        if since is None:
            self._known, self._is_whole = digests, True
            self._anew = self._clock() + ANEW.total_seconds()
        else:
            self._known |= digests
        if len(self._known) > self._most:
            self._known, self._is_whole = set(), False
        self._kinds, self._at = found.kinds, found.at

    def _since(self) -> datetime | None:
        """Return from when on entries are new to us; None: all are."""
        now = self._clock()
        if self._at is None or now >= self._anew:
            return None
        if now < self._wide:
            return self._at - OVERLAP
        self._wide = now + WIDE_EVERY.total_seconds()
        return self._at - WIDE_OVERLAP

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
