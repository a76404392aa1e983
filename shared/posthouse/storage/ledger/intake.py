"""Group commit: many callers accept mail, few commits carry it (promise 1).

    accept ─▶ waiting ─▶ writer ─▶ one statement, one commit ─▶ every caller returns
    accept ─▶

A caller alone pays one commit. While a commit is under way, the next callers gather and share
the following one; the second writer starts when company has come or `GATHER` is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from types import TracebackType

import asyncpg

from posthouse.mail.errors import Unavailable
from posthouse.storage.ledger.entries import NewMail, enter
from posthouse.storage.pool import Pool
from posthouse.telemetry import metrics

WRITERS = 2  # commits under way at once
MAX_BATCH = 100  # mails per commit
MAX_WAITING = 2000  # mails; further callers are refused, and their senders keep the mail
GATHER = timedelta(milliseconds=2)
AGAIN_WITHIN = timedelta(seconds=2)

_MAILS = metrics.counter("posthouse_ledger_accepted_total", "Mails committed to the ledger.")
_COMMITS = metrics.counter("posthouse_ledger_accept_commits_total", "Commits that carried them.")

# What PostgreSQL or asyncpg says of a mail that cannot be written; the server itself is well.
_FAULTY = (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError)

_Waiting = tuple[NewMail, "asyncio.Future[None]"]


class Intake:
    """Takes mail into the ledger; use it as a context manager around the listeners."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(MAX_WAITING)
        self._writing = 0
        self._writers = asyncio.TaskGroup()

    async def __aenter__(self) -> Intake:
        await self._writers.__aenter__()
        self._tasks = [self._writers.create_task(self._write()) for _ in range(WRITERS)]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        try:
            await self._writers.__aexit__(kind, raised, traceback)
        finally:
            while not self._waiting.empty():
                _fail([self._waiting.get_nowait()], Unavailable("shutting down"))

    async def accept(self, mail: NewMail) -> None:
        """Return after ``mail`` is committed: 250 may be said.

        Raises `Unavailable` when it was not confirmed: say 4yz, and leave the stored octets to
        the collector, because the commit may have happened unheard.
        """
        done = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((mail, done))
        except asyncio.QueueFull:
            raise Unavailable("too busy", detail="ledger: too many mails wait") from None
        await done

    async def _write(self) -> None:
        """Commit what has gathered, for ever."""
        while True:
            batch = [await self._waiting.get()]
            try:
                if self._writing:  # company is likely: whoever is served now comes back
                    await self._gather(batch)
                self._take(batch)
                await self._commit_wanted(batch)
            finally:
                _fail(batch, Unavailable("shutting down"))

    async def _commit_wanted(self, batch: Sequence[_Waiting]) -> None:
        """Commit what somebody still waits for."""
        self._writing += 1
        try:
            await self._commit([(mail, done) for mail, done in batch if not done.done()])
        finally:
            self._writing -= 1

    async def _gather(self, batch: list[_Waiting]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER.total_seconds()):
                while len(batch) < MAX_BATCH and self._writing:
                    batch.append(await self._waiting.get())

    def _take(self, batch: list[_Waiting]) -> None:
        while len(batch) < MAX_BATCH and not self._waiting.empty():
            batch.append(self._waiting.get_nowait())

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        try:
            await self._enter([mail for mail, _ in batch])
        except Unavailable as trouble:
            _fail(batch, trouble)
        except _FAULTY as fault:
            await self._alone(batch, fault)
        else:
            _succeed(batch)

    async def _alone(self, batch: Sequence[_Waiting], fault: Exception) -> None:
        """One mail of the batch cannot be written; the others shall not suffer for it."""
        if len(batch) == 1:
            _fail(batch, fault)
            return
        for one in batch:
            await self._commit([one])

    async def _enter(self, mails: Sequence[NewMail]) -> None:
        """Write, and once more if the connection broke: the first try may be committed or not."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            await enter(self._pool, mails)
        except Unavailable:
            if loop.time() - started > AGAIN_WITHIN.total_seconds():
                raise  # the senders have waited long enough
            await enter(self._pool, mails)
        _COMMITS.inc()
        _MAILS.inc(len(mails))


def _succeed(batch: Sequence[_Waiting]) -> None:
    for _, done in batch:
        if not done.done():
            done.set_result(None)


def _fail(batch: Sequence[_Waiting], why: Exception) -> None:
    for _, done in batch:
        if not done.done():
            done.set_exception(why)
