"""The indexer: makes messages searchable, in turns that go round among accounts.

What is not indexed yet is found all the same: the gateway reads it then. So an outage here costs
time of searches, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from posthouse.blobs import Blobs
from posthouse.extraction.jobs import Job, Made
from posthouse.extraction.workshop import Broken, Workshop
from posthouse.mail.errors import MissingObject, Unavailable
from posthouse.mail.ids import object_key
from posthouse.mail.index_work import IndexWork
from posthouse.storage import indexing
from posthouse.storage.contents import Source, read_sources
from posthouse.storage.indexing import Indexed
from posthouse.storage.pool import Pool, transaction
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger
from postmaster.indexing.offering import works
from postmaster.indexing.turns import Key, plan

TURN_TIME = timedelta(seconds=10)  # then the message at hand is done, and others have their turn
MESSAGES_AT_ONCE = 32  # go to a worker together
OCTETS_AT_ONCE = 512 * 1024  # likewise, or one message that is larger
TURN_CHARACTERS = 32 * 1024 * 1024  # of texts in memory until all is kept: then a turn is over, too
HELD_AT_ONCE = 2  # batches: the next one is read while a worker has this one
TAKEN_SECONDS = 1.0  # until an account that another indexer works on is put back

log = get_logger()
_indexed = metrics.counter("posthouse_index_messages_total", "Messages indexed.", "how")


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexer:
    """Makes messages searchable.

    Attributes:
        pool: Where headers lie, and what was made is kept.
        blobs: Where messages lie.
        workshop: Who reads them.
        with_documents: Attachments that are documents are read, too.
        turn_time: So long a turn goes on with more of its messages.
    """

    pool: Pool
    blobs: Blobs
    workshop: Workshop
    with_documents: bool
    turn_time: timedelta = TURN_TIME

    async def index(self, work: IndexWork) -> list[IndexWork]:
        """Do turns; return those that go back on the queue. `Unavailable` escapes: nothing is done then."""
        async with transaction(self.pool) as tx:
            ours, taken = await indexing.begin_turns(tx, work.accounts, work.turn)
            planned = await plan(tx, ours)
            sources = await read_sources(tx, planned.keys)
            made = await self._make_all(sources)
            undone = {_key(source) for source in sources} - made.keys()
            done = [key for key in planned.keys if key not in undone]
            standings = planned.without(undone)
            await indexing.keep(tx, list(made.values()), done)
            await indexing.end_turns(tx, standings, work.turn)
        if taken and not ours:
            await asyncio.sleep(TAKEN_SECONDS)
        again = [account for account, standing in standings.items() if standing.has_more]
        # Nobody stays together with one whose messages take long.
        return works(again, work.turn, *([1] if undone else [])) + works(taken, work.turn)

    async def _make_all(self, sources: Sequence[Source]) -> dict[Key, Indexed]:
        """Make messages searchable until the turn is over; one at least."""
        ends = self._end()
        gate = asyncio.Semaphore(HELD_AT_ONCE)
        made: dict[Key, Indexed] = {}

        async def make(batch: Sequence[Source]) -> None:
            async with gate:
                if not _is_enough(made, ends):
                    made.update(await self._make_batch(batch))

        try:
            async with asyncio.TaskGroup() as tasks:
                for batch in _batches(sources):
                    tasks.create_task(make(batch))
        except ExceptionGroup as failures:
            outages, others = failures.split(Unavailable)
            if outages is None or others is not None:
                raise
            raise Unavailable("not indexed", detail=str(outages.exceptions[0])) from failures
        return made

    def _end(self) -> float:
        return asyncio.get_running_loop().time() + self.turn_time.total_seconds()

    async def _make_batch(self, batch: Sequence[Source]) -> dict[Key, Indexed]:
        """Make a batch searchable; if it breaks its worker, one by one for as long as a turn."""
        jobs = await asyncio.gather(*map(self._job, batch))
        try:
            made = await self.workshop.make_all(jobs)
        except Broken:
            return await self._make_singly(batch, jobs)
        for job in jobs:
            _indexed.labels("whole" if job.octets else "without object").inc()
        return {_key(s): _indexed_by(s, one) for s, one in zip(batch, made, strict=True)}

    async def _make_singly(
        self, batch: Sequence[Source], jobs: Sequence[Job]
    ) -> dict[Key, Indexed]:
        made: dict[Key, Indexed] = {}
        ends = self._end()
        for source, job in zip(batch, jobs, strict=True):
            if _is_enough(made, ends):
                break
            made[_key(source)] = _indexed_by(source, await self._make_as_possible(job))
        return made

    async def _make_as_possible(self, job: Job) -> Made:
        """Make one message searchable; of what breaks its worker, as much as does not."""
        for attempt, how in (
            (job, "whole" if job.octets else "without object"),
            (replace(job, with_documents=False), "without documents"),
            (replace(job, octets=b"", with_documents=False), "header"),
            (replace(job, octets=b"", with_documents=False, header=b""), "nothing"),
        ):
            try:
                made = await self.workshop.make(attempt)
            except Broken:
                log.warning("message not indexed whole", account=job.account, content=job.content)
                continue
            _indexed.labels(how).inc()
            return made
        raise RuntimeError("a worker cannot even index nothing")

    async def _job(self, source: Source) -> Job:
        octets = b""
        with suppress(MissingObject):  # the gateway tells who asks for it
            octets = await self.blobs.get(object_key(source.place.object_id))
        return Job(account=source.account, content=source.content, header=source.header,
                   parts=source.place.parts, octets=octets,
                   with_documents=self.with_documents)  # fmt: skip


def _is_enough(made: Mapping[Key, Indexed], ends: float) -> bool:
    """Say whether a turn is over that has made something."""
    if asyncio.get_running_loop().time() >= ends:
        return bool(made)
    return sum(len(one.body) for one in made.values()) > TURN_CHARACTERS


def _key(source: Source) -> Key:
    return source.account, source.content


def _indexed_by(source: Source, made: Made) -> Indexed:
    return Indexed(account=source.account, header=made.header, body=made.body, keys=made.keys)


def _batches(sources: Sequence[Source]) -> Iterator[list[Source]]:
    """Cut them into batches bounded in number and octets."""
    batch: list[Source] = []
    octets = 0
    for source in sources:
        size = source.place.size
        if batch and (len(batch) == MESSAGES_AT_ONCE or octets + size > OCTETS_AT_ONCE):
            yield batch
            batch, octets = [], 0
        batch.append(source)
        octets += size
    if batch:
        yield batch
