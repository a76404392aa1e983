"""The greylist of all pods, as one pod asks it: from memory, else many questions at once."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import timedelta
from uuid import UUID

from posthouse.mail.errors import Unavailable
from posthouse.storage.greylisting import (
    GreylistTerms,
    Triplet,
    Waiting,
    ask_greylist,
    note_good,
    peek_greylist,
)
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger

REMEMBER_PASSED = timedelta(minutes=10)
REMEMBER_WAITING = timedelta(seconds=30)
REMEMBER_GOOD = timedelta(days=1)
MAX_REMEMBERED = 50_000  # about 200 octets each
MAX_WAITING = 5_000  # questions
MAX_BATCH = 500
MAX_GOOD = 1_000

log = get_logger()


class Greylist:
    """Says how long somebody has to wait. `work` must run."""

    def __init__(
        self, pool: Pool, terms: GreylistTerms, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.terms = terms
        self.is_used = False  # somebody has been looked at
        self._pool = pool
        self._clock = clock
        self._remembered: OrderedDict[UUID, tuple[float, float]] = OrderedDict()
        self._asked: OrderedDict[UUID, tuple[Triplet, asyncio.Future[Waiting]]] = OrderedDict()
        self._good: dict[tuple[str, str], None] = {}
        self._noted: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._something = asyncio.Event()

    def recall(self, triplet: Triplet) -> float | None:
        """Return how many seconds it has to wait as far as is remembered; None: not known."""
        known = self._remembered.get(triplet.key)
        if known is None or known[0] <= self._clock():
            return None
        return max(known[1] - self._clock(), 0.0)

    def remember(self, triplet: Triplet) -> None:
        """Let it pass for a while, without a word to the others."""
        self._keep(triplet.key, 0.0)

    async def waits(self, triplet: Triplet) -> float:
        """Return how many seconds it has to wait, 0 if it may pass; raise `Unavailable`."""
        self.is_used = True
        remembered = self.recall(triplet)
        if remembered is not None:
            return remembered
        key = triplet.key
        if key not in self._asked:
            if len(self._asked) >= MAX_WAITING:
                raise Unavailable("too many questions about the greylist")
            self._asked[key] = (triplet, asyncio.get_running_loop().create_future())
            self._something.set()
        found = await asyncio.shield(self._asked[key][1])
        return found.seconds

    async def peek(self, triplet: Triplet) -> float:
        """Return how many seconds it would have to wait, and note nothing; raise `Unavailable`."""
        return await peek_greylist(self._pool, triplet, self.terms)

    def note_good(self, network: str, domain: str) -> None:
        """Remember that good mail of ``domain``, proved by a signature, comes from ``network``."""
        pair = (network, domain)
        if self._noted.get(pair, 0.0) <= self._clock() and len(self._good) < MAX_GOOD:
            self._good[pair] = None
            self._something.set()

    async def work(self) -> None:
        """Ask and tell for ever, whatever comes at the same time in one statement."""
        while True:
            await self._something.wait()
            self._something.clear()
            while self._asked:
                await self._ask()
            if self._good:
                await self._tell()

    async def _ask(self) -> None:
        batch = dict(list(self._asked.items())[:MAX_BATCH])
        try:
            found = await ask_greylist(self._pool, [each for each, _ in batch.values()], self.terms)
        except Unavailable as trouble:
            self._settle(batch)
            for _, future in batch.values():
                future.set_exception(trouble)
                future.exception()  # nobody may be waiting any more
            return
        self._settle(batch)
        for key, (_, future) in batch.items():
            self._keep(key, found[key].seconds)
            future.set_result(found[key])

    async def _tell(self) -> None:
        pairs = list(self._good)
        self._good.clear()
        try:
            await note_good(self._pool, pairs, self.terms.lifetime)
        except Unavailable as trouble:  # their next mail tells it again
            log.info("good senders not noted", count=len(pairs), reason=str(trouble))
            return
        until = self._clock() + REMEMBER_GOOD.total_seconds()
        for pair in pairs:
            self._noted[pair] = until
            self._noted.move_to_end(pair)
        while len(self._noted) > MAX_REMEMBERED:
            self._noted.popitem(last=False)

    def _settle(self, keys: Iterable[UUID]) -> None:
        for key in keys:
            del self._asked[key]

    def _keep(self, key: UUID, seconds: float) -> None:
        now = self._clock()
        longest = REMEMBER_WAITING if seconds else REMEMBER_PASSED
        lasts = min(seconds or longest.total_seconds(), longest.total_seconds())
        self._remembered[key] = (now + lasts, now + seconds)
        self._remembered.move_to_end(key)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
