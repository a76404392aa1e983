"""The trainer: learns what people moved into Junk and out of it, and forgets what is old or too much.

A wish, the beginning of its object, its tokens: that they are learned and the wish is gone is one transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any

from posthouse.bayes.tokens import MAX_OCTETS, digest_of, tokens_of
from posthouse.blobs import Blobs
from posthouse.mail.errors import MissingObject, Unavailable
from posthouse.mail.ids import object_key
from posthouse.storage.bayes.expiring import Bounds, tidy_corpora
from posthouse.storage.bayes.learning import Lesson, learn
from posthouse.storage.bayes.wishes import (
    Wish,
    end_wishes,
    put_back,
    take_wishes,
    tidy_wishes,
    waiting,
)
from posthouse.storage.pool import Pool, transaction
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.probes import Probes
from postmaster.duties import names
from postmaster.duties.rounds import alone, rounds

TRAIN_EVERY = timedelta(seconds=2)
TIDY_EVERY = timedelta(hours=1)
LONGEST_ROUND = timedelta(hours=6)
AT_ONCE = 32  # messages in memory, 256 KiB of each
BOUNDS = Bounds(
    site_tokens=1_000_000,
    account_tokens=150_000,
    lessons=200_000,
    rare_lasts=timedelta(days=180),
)

_learned = metrics.counter(
    "posthouse_postmaster_bayes_learned_total",
    "Messages of mailboxes learned, by outcome",
    "outcome",
)
_waiting = metrics.gauge(
    "posthouse_postmaster_bayes_waiting", "Messages of mailboxes that wait to be learned"
)
_expired = metrics.counter(
    "posthouse_postmaster_bayes_expired_total", "Tokens forgotten: rare and old, or too many"
)
log = get_logger()


class Trainer:
    """Works off wishes, and tidies now and then: one duty, for each keeps a connection."""

    def __init__(
        self, pool: Pool, blobs: Blobs, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._blobs = blobs
        self._clock = clock
        self._tidies_at = clock()

    async def round(self) -> None:
        """Learn what waits; once an hour forget, too. Raise `Unavailable`."""
        await self.learn_all()
        if self._tidies_at <= self._clock():
            await self.tidy()
            self._tidies_at = self._clock() + TIDY_EVERY.total_seconds()

    async def learn_all(self) -> None:
        """Learn what waits; raise `Unavailable`, then the rest is learned later."""
        while wishes := await take_wishes(self._pool, AT_ONCE):
            try:
                octets = [await self._beginning(wish) for wish in wishes]
            except Unavailable:
                await put_back(self._pool, wishes)
                raise
            lessons = await asyncio.to_thread(_lessons, wishes, octets)
            pairs = sorted(zip(wishes, lessons, strict=True), key=lambda pair: pair[0].owner)
            for owner, group in groupby(pairs, key=lambda pair: pair[0].owner):
                await self._keep(owner, list(group))
        _waiting.set(await waiting(self._pool))

    async def tidy(self) -> None:
        """Forget what is old or too much; raise `Unavailable`."""
        gone = await tidy_corpora(self._pool, BOUNDS)
        given_up = await tidy_wishes(self._pool)
        _expired.inc(gone)
        if gone or given_up:
            log.info("corpora tidied", tokens=gone, given_up=given_up)

    async def _beginning(self, wish: Wish) -> bytes | None:
        if wish.object_id is None:
            return None
        try:
            return await self._blobs.get_range(object_key(wish.object_id), 0, MAX_OCTETS)
        except MissingObject:
            return None

    async def _keep(self, owner: int, pairs: Sequence[tuple[Wish, Lesson | None]]) -> None:
        lessons = [lesson for _, lesson in pairs if lesson is not None]
        async with transaction(self._pool) as tx:
            done = await learn(tx, owner, lessons)
            await end_wishes(tx, [wish for wish, _ in pairs])
        for outcome, count in (("new", done.new), ("changed", done.changed), ("known", done.known)):
            _learned.labels(outcome).inc(count)
        _learned.labels("gone").inc(len(pairs) - len(lessons))


def training(pool: Pool, blobs: Blobs, probes: Probes) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield what is done about training."""
    trainer = Trainer(pool, blobs)
    yield rounds(
        alone(pool, names.TRAINER, trainer.round),
        TRAIN_EVERY,
        probes.progress(names.TRAINER, patience=LONGEST_ROUND),
    )


def _lessons(wishes: Sequence[Wish], octets: Sequence[bytes | None]) -> list[Lesson | None]:
    return [
        None
        if each is None
        else Lesson(digest=digest_of(each), tokens=tokens_of(each), is_spam=wish.is_spam)
        for wish, each in zip(wishes, octets, strict=True)
    ]
