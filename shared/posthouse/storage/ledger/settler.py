"""Group commit of results: many deliveries end at the same time, few commits carry what became of them.

    settle ─▶ waiting ─▶ writer ─▶ one statement, one commit ─▶ every caller returns
    settle ─▶

As in `intake`: who is alone pays one commit and waits for nobody; while a commit is under way,
the next callers gather and share the following one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from uuid import UUID

import asyncpg

from posthouse.mail.errors import Unavailable
from posthouse.storage.ledger.settling import Settled, Settlement, settle_all
from posthouse.storage.pool import Pool
from posthouse.telemetry import metrics

WRITERS = 2  # commits under way at once
MAX_BATCH = 100  # settlements per commit
MAX_WAITING = 2000  # settlements; further callers wait
GATHER = timedelta(milliseconds=2)

_RESULTS = metrics.counter("posthouse_ledger_settled_total", "Results committed to the ledger.")
_COMMITS = metrics.counter("posthouse_ledger_settle_commits_total", "Commits that carried them.")

# What PostgreSQL or asyncpg says of a result that cannot be written; the server itself is well.
_FAULTY = (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError)

_Waiting = tuple[Settlement, "asyncio.Future[Settled]"]


class Settler:
    """Brings results to the ledger; use it as a context manager around the consumers."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(MAX_WAITING)
        self._writing = 0
        self._writers = asyncio.TaskGroup()

    async def __aenter__(self) -> Settler:
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
        await self._writers.__aexit__(kind, raised, traceback)
        while not self._waiting.empty():
            _fail([self._waiting.get_nowait()], Unavailable("shutting down"))

    async def settle(self, settlement: Settlement) -> Settled:
        """Return what ``settlement`` has changed, after the commit; see `settling.settle`.

        Raises `Unavailable` when the commit was not confirmed: repeat it.
        """
        done: asyncio.Future[Settled] = asyncio.get_running_loop().create_future()
        await self._waiting.put((settlement, done))
        return await done

    async def _write(self) -> None:
        """Commit what has gathered, for ever."""
        while True:
            batch = [await self._waiting.get()]
            if self._writing:  # company is likely
                await self._gather(batch)
            while len(batch) < MAX_BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            self._writing += 1
            try:
                for part in _apart(batch):
                    await self._commit(part)
            finally:
                self._writing -= 1
                _fail(batch, Unavailable("shutting down"))

    async def _gather(self, batch: list[_Waiting]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER.total_seconds()):
                while len(batch) < MAX_BATCH and self._writing:
                    batch.append(await self._waiting.get())

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        try:
            settled = await settle_all(self._pool, [settlement for settlement, _ in batch])
        except Unavailable as trouble:
            _fail(batch, trouble)
        except _FAULTY as fault:
            await self._alone(batch, fault)
        else:
            _COMMITS.inc()
            _RESULTS.inc(len(batch))
            for (_, done), result in zip(batch, settled, strict=True):
                if not done.done():
                    done.set_result(result)

    async def _alone(self, batch: Sequence[_Waiting], fault: Exception) -> None:
        """One result of the batch cannot be written; the others shall not suffer for it."""
        if len(batch) == 1:
            _fail(batch, fault)
            return
        for one in batch:
            await self._commit([one])


def _apart(batch: Sequence[_Waiting]) -> list[list[_Waiting]]:
    """Return ``batch`` in parts that have no recipient twice; nearly always one part."""
    parts: list[list[_Waiting]] = []
    taken: list[set[tuple[UUID, int]]] = []
    for one in batch:
        rows = {(one[0].id, outcome.n) for outcome in one[0].outcomes}
        at = next((at for at, has in enumerate(taken) if not has & rows), len(parts))
        if at == len(parts):
            parts.append([])
            taken.append(set())
        parts[at].append(one)
        taken[at] |= rows
    return parts


def _fail(batch: Sequence[_Waiting], why: Exception) -> None:
    for _, done in batch:
        if not done.done():
            done.set_exception(why)
