"""Taking notes of what the ledger's rows do not tell: attempts, replies, reads.

Notes never get in the way of delivery: they are buffered, written in batches, and when PostgreSQL
is away for long the newest are dropped and counted. What a promise needs stands in the ledger.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import TracebackType
from uuid import UUID

from posthouse.mail.errors import Unavailable
from posthouse.mail.ids import day_of
from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Pool
from posthouse.telemetry import metrics

BUFFERED_MAX = 10_000  # notes
BATCH_MAX = 500  # notes per statement
PAUSE = timedelta(milliseconds=200)  # notes of this time are written together
RETRY_PAUSE = timedelta(seconds=1)
FLUSH_AT_END = timedelta(seconds=5)
MAX_DETAIL_CHARACTERS = 1000

_dropped = metrics.counter(
    "posthouse_trace_notes_dropped_total", "Notes dropped because PostgreSQL was away for long"
)

_WRITE = """
    insert into events (day, envelope, at, recipient, service, what, detail)
    select day, envelope, at, recipient, $6, what, detail
      from unnest($1::date[], $2::uuid[], $3::timestamptz[], $4::int[], $5::text[], $7::text[])
           as note (day, envelope, at, recipient, what, detail)
"""


@dataclass(frozen=True, slots=True)
class _Note:
    envelope: UUID
    at: datetime
    recipient: int | None
    what: str
    detail: str


class Trace:
    """The notes of one service; use it as a context manager around the service's work."""

    def __init__(self, pool: Pool, service: str) -> None:
        self._pool = pool
        self._service = service
        self._notes: deque[_Note] = deque()
        self._there_are_some = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._is_ending = False

    async def __aenter__(self) -> Trace:
        await self._tasks.__aenter__()
        self._writer = self._tasks.create_task(self._write_for_ever())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Not cancelled: what was committed and not heard of would be written a second time.
        self._is_ending = True
        self._there_are_some.set()
        try:
            await asyncio.wait([self._writer], timeout=FLUSH_AT_END.total_seconds())
        finally:
            self._writer.cancel()
            await self._tasks.__aexit__(kind, raised, traceback)
            self._drop(len(self._notes))

    def note(
        self, envelope_id: UUID, what: str, *, recipient: int | None = None, detail: str = ""
    ) -> None:
        """Note that ``what`` (a constant phrase in past tense) happened now; never blocks."""
        if len(self._notes) >= BUFFERED_MAX:
            self._drop(1)
            return
        now = datetime.now(UTC)
        self._notes.append(_Note(envelope_id, now, recipient, what, detail[:MAX_DETAIL_CHARACTERS]))
        self._there_are_some.set()

    def _drop(self, count: int) -> None:
        if count:
            _dropped.inc(count)

    async def _write_for_ever(self) -> None:
        is_last = False
        while not is_last:
            if not self._is_ending:
                await self._there_are_some.wait()
            is_last = self._is_ending
            await asyncio.sleep(0 if is_last else PAUSE.total_seconds())  # company may come
            try:
                while self._notes:
                    await self._write()
                self._there_are_some.clear()
            except Unavailable:
                await asyncio.sleep(0 if is_last else RETRY_PAUSE.total_seconds())

    async def _write(self) -> None:
        """Write the oldest notes; they leave the buffer when they are committed."""
        batch = list(islice(self._notes, BATCH_MAX))
        await self._pool.execute(
            _WRITE,
            [day_of(note.envelope) for note in batch],
            [note.envelope for note in batch],
            [note.at for note in batch],
            [note.recipient for note in batch],
            [note.what for note in batch],
            self._service,
            [storable(note.detail) for note in batch],
        )
        for _ in batch:
            self._notes.popleft()
