"""Group commit: many callers hand something in, few commits carry it.

    submit ─▶ waiting ─▶ writer ─▶ one statement, one commit ─▶ every caller returns
    submit ─▶
    submit, nobody else there ─▶ one commit, by the caller itself

A caller alone pays one commit. While a commit is under way, the next callers gather and share
the following one; the second writer starts when company has come or `GATHER` is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Generic, Self, TypeVar

import asyncpg

from posthouse.mail.errors import Unavailable

WRITERS = 2  # commits under way at once
MAX_BATCH = 100  # things per commit
MAX_WAITING = 2000  # things; further callers are refused
GATHER = timedelta(milliseconds=2)

# What PostgreSQL or asyncpg says of a thing that cannot be written; the server itself is well.
_FAULTY = (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError)

T = TypeVar("T")
R = TypeVar("R")


class GroupCommit(Generic[T, R]):
    """Hands what has gathered to one commit; use it as a context manager around its callers.

    Args:
        commit: Writes all of them or none, and returns one result each, in order. Raises
            `Unavailable` when the commit was not confirmed.
        is_wanted_by_caller: Leave out what its caller no longer waits for, and break off the commit
            of one who is alone. False if it must be written all the same, because it tells of
            something that has happened.
    """

    def __init__(
        self, commit: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, is_wanted_by_caller: bool
    ) -> None:
        self._commit_all = commit
        self._leaves_out = is_wanted_by_caller
        self._waiting: asyncio.Queue[tuple[T, asyncio.Future[R]]] = asyncio.Queue(MAX_WAITING)
        self._writing = 0
        self._loner: asyncio.Task[object] | None = None  # who commits without a writer
        self._gathering = 0  # writers who wait for company
        self._writers = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
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
        if self._loner is not None:
            self._loner.cancel()
            self._loner = None  # it is cancelled by us
        try:
            await self._writers.__aexit__(kind, raised, traceback)
        finally:
            while not self._waiting.empty():
                _fail([self._waiting.get_nowait()], Unavailable("shutting down"))

    async def submit(self, thing: T) -> R:
        """Return its result after ``thing`` is committed.

        Raises `Unavailable` when that was not confirmed (it may have happened unheard), or when
        too much waits already.
        """
        if self._leaves_out and not (self._writing or self._gathering or self._waiting.qsize()):
            return await self._commit_alone(thing)
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((thing, done))
        except asyncio.QueueFull:
            raise Unavailable("too busy", detail="ledger: too much waits") from None
        return await done

    async def _commit_alone(self, thing: T) -> R:
        """Spare the caller who has no company the way to a writer and back."""
        self._writing += 1
        self._loner = asyncio.current_task()
        try:
            [result] = await self._commit_all([thing])
        except asyncio.CancelledError:
            if self._loner is None and not _uncancelled():
                raise Unavailable("shutting down") from None
            raise
        finally:
            self._loner = None
            self._writing -= 1
        return result

    async def _write(self) -> None:
        """Commit what has gathered, for ever."""
        while True:
            batch = [await self._waiting.get()]
            try:
                if self._writing:  # company is likely: whoever is served now comes back
                    await self._gather(batch)
                while len(batch) < MAX_BATCH and not self._waiting.empty():
                    batch.append(self._waiting.get_nowait())
                await self._commit_wanted(batch)
            finally:
                _fail(batch, Unavailable("shutting down"))

    async def _gather(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        self._gathering += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER.total_seconds()):
                    while len(batch) < MAX_BATCH and self._writing:
                        batch.append(await self._waiting.get())
        finally:
            self._gathering -= 1

    async def _commit_wanted(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        self._writing += 1
        try:
            await self._commit([one for one in batch if not (self._leaves_out and one[1].done())])
        finally:
            self._writing -= 1

    async def _commit(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        if not batch:
            return
        try:
            results = await self._commit_all([thing for thing, _ in batch])
        except Unavailable as trouble:
            _fail(batch, trouble)
        except _FAULTY as fault:
            await self._alone(batch, fault)
        else:
            for (_, done), result in zip(batch, results, strict=True):
                if not done.done():
                    done.set_result(result)

    async def _alone(self, batch: Sequence[tuple[T, asyncio.Future[R]]], fault: Exception) -> None:
        """One of the batch cannot be written; the others shall not suffer for it."""
        if len(batch) == 1:
            _fail(batch, fault)
            return
        for one in batch:
            await self._commit([one])


def _uncancelled() -> int:
    """Take one cancellation of this task back; return how many others there are."""
    task = asyncio.current_task()
    return task.uncancel() if task is not None else 0


def _fail(batch: Sequence[tuple[T, asyncio.Future[R]]], why: Exception) -> None:
    for _, done in batch:
        if not done.done():
            done.set_exception(why)
