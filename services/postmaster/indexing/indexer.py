"""The indexer: offers on the queue what is new, and makes searchable what comes from there.

What is not indexed yet is found all the same: the gateway reads it then. So an outage here costs
time of searches, and nothing else.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from msgspec.structs import replace

from posthouse.blobs import Blobs
from posthouse.bus.indexing import offer
from posthouse.bus.publisher import Publisher
from posthouse.extraction.jobs import Job, Made
from posthouse.extraction.workshop import Broken, Workshop
from posthouse.mail.errors import MissingObject, Unavailable
from posthouse.mail.ids import object_key
from posthouse.mail.index_work import IndexWork
from posthouse.storage import indexing
from posthouse.storage.contents import Place, read_column, read_places
from posthouse.storage.indexing import Indexed
from posthouse.storage.pool import Pool, transaction
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger

OFFERED_AT_ONCE = 2000
MESSAGES_IN_A_WORK = 50
HELD_AT_ONCE = 2
AGAIN_AFTER = timedelta(minutes=30)  # what was offered and not done

log = get_logger()
_indexed = metrics.counter("posthouse_index_messages_total", "Messages indexed.", "how")
_waiting = metrics.gauge("posthouse_index_waiting", "Messages that are not indexed yet.")
_lag = metrics.gauge("posthouse_index_lag_seconds", "Since when the first of them waits.")
_coverage = metrics.gauge("posthouse_index_coverage_ratio", "Indexed messages among all, about.")


async def offer_new(
    pool: Pool, publisher: Publisher, searched_within: timedelta | None = None
) -> None:
    """Put on the queue what is new, and what was forgotten.

    Args:
        pool: Where that stands.
        publisher: To whom the queue is known.
        searched_within: Only for accounts whose texts were searched as lately as that.

    Raises:
        Unavailable: If PostgreSQL or the broker does not answer; it is offered again later.
    """
    while await _offer_some(pool, publisher, searched_within) == OFFERED_AT_ONCE:
        pass


async def _offer_some(pool: Pool, publisher: Publisher, searched_within: timedelta | None) -> int:
    """Offer some; return how many. Noted as offered is only what the broker has confirmed."""
    async with transaction(pool) as tx:
        offered = await indexing.offer(
            tx, OFFERED_AT_ONCE, AGAIN_AFTER, searched_within=searched_within
        )
        works = [
            IndexWork(account=account, contents=tuple(contents[at : at + MESSAGES_IN_A_WORK]))
            for account, contents in offered.items()
            for at in range(0, len(contents), MESSAGES_IN_A_WORK)
        ]
        if works:
            await offer(publisher, works)
    return sum(len(contents) for contents in offered.values())


async def tell_backlog(pool: Pool, searched_within: timedelta | None = None) -> None:
    """Tell how far behind we are with what `offer_new` offers; `Unavailable` escapes."""
    behind = await indexing.backlog(pool, searched_within)
    _waiting.set(behind.waiting)
    _lag.set(behind.lag)
    _coverage.set(max(1 - behind.waiting / max(behind.all_contents, behind.waiting, 1), 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexer:
    """Makes messages searchable.

    Attributes:
        pool: Where headers lie, and what was made is kept.
        blobs: Where messages lie.
        workshop: Who reads them.
        with_documents: Attachments that are documents are read, too.
        gate: Passed by as many messages as are held in memory at once.
    """

    pool: Pool
    blobs: Blobs
    workshop: Workshop
    with_documents: bool
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(HELD_AT_ONCE))

    async def index(self, work: IndexWork) -> None:
        """Index what of ``work`` waits still; `Unavailable` escapes."""
        account = work.account
        contents = await indexing.still_unindexed(self.pool, account, work.contents)
        if not contents:
            return
        headers = await read_column(self.pool, account, "header", contents)
        places = await read_places(self.pool, account, contents)
        wanted = [content for content in contents if content in headers and content in places]
        try:
            async with asyncio.TaskGroup() as tasks:
                making = [
                    tasks.create_task(self._make(account, one, headers[one], places[one]))
                    for one in wanted
                ]
        except ExceptionGroup as failures:
            outages, others = failures.split(Unavailable)
            if outages is None or others is not None:
                raise
            raise Unavailable("not indexed", detail=str(outages.exceptions[0])) from failures
        made = [Indexed(header=one.header, body=one.body, keys=one.keys)
                for one in (task.result() for task in making)]  # fmt: skip
        await indexing.keep(self.pool, account, made, contents)

    async def _make(self, account: int, content: int, header: bytes, place: Place) -> Made:
        """Make one message searchable; of what breaks its worker, as much as does not."""
        async with self.gate:
            return await self._made(account, content, header, place)

    async def _made(self, account: int, content: int, header: bytes, place: Place) -> Made:
        octets, how = b"", "whole"
        try:
            octets = await self.blobs.get(object_key(place.object_id))
        except MissingObject:  # the gateway tells who asks for it
            how = "without object"
        job = Job(account=account, content=content, header=header, parts=place.parts,
                  octets=octets, with_documents=self.with_documents)  # fmt: skip
        for attempt, fallback in (
            (job, how),
            (replace(job, with_documents=False), "without documents"),
            (replace(job, octets=b"", with_documents=False), "header"),
            (replace(job, octets=b"", with_documents=False, header=b""), "nothing"),
        ):
            try:
                made = await self.workshop.make(attempt)
            except Broken:
                log.warning("message not indexed whole", account=account, content=content)
                continue
            _indexed.labels(fallback).inc()
            return made
        raise RuntimeError("a worker cannot even index nothing")
