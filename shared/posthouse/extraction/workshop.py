"""Worker processes: each has one job at a time, or a few small ones, and bounds of time and memory.

A message that breaks a bound, or its worker, costs only that worker: it is ended and the next job
gets a new one. A worker that has nothing to do for a while is ended, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec

from posthouse.extraction.jobs import LENGTH, Job, Made, packed
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

MAX_RESULT_OCTETS = 128 * 1024 * 1024
IDLENESS = timedelta(minutes=1)  # without a job, until a process is ended
END_SECONDS = 1.0  # so long after its last octet a process has ended, or it never will
_CHILD = "posthouse.extraction.child"

log = get_logger()
_ended = counter("posthouse_index_workers_ended_total", "Worker processes that a job ended.", "why")
_decoder = msgspec.msgpack.Decoder(list[Made])


class Broken(Exception):
    """The worker could not do the job.

    Attributes:
        was_killed: Somebody else ended it, for whatever reason: the job may be sound.
    """

    def __init__(self, *, was_killed: bool = False) -> None:
        super().__init__()
        self.was_killed = was_killed


class Worker:
    """One process, started when it is needed."""

    def __init__(self, *, patience: timedelta, memory: int, idleness: timedelta) -> None:
        self._seconds = patience.total_seconds()
        self._memory = memory
        self._idle_seconds = idleness.total_seconds()
        self._process: Process | None = None
        self._leave: asyncio.TimerHandle | None = None

    async def make(self, jobs: Sequence[Job]) -> list[Made]:
        """Return what the process makes of ``jobs``; raise `Broken` if it cannot."""
        was_killed = False
        self._stay()
        try:
            async with asyncio.timeout(self._seconds):
                made = await self._ask(packed(jobs))
        except TimeoutError as error:
            await self._fail("time", error)
        except (asyncio.IncompleteReadError, ConnectionError, msgspec.DecodeError) as error:
            was_killed = await self._code() == -signal.SIGKILL
            await self._fail("death", error)
        except asyncio.CancelledError:
            await self.close()
            raise
        else:
            loop = asyncio.get_running_loop()
            self._leave = loop.call_later(self._idle_seconds, self._dismiss)
            return made
        raise Broken(was_killed=was_killed)

    def _stay(self) -> None:
        if self._leave is not None:
            self._leave.cancel()
            self._leave = None

    def _dismiss(self) -> None:
        """Let the process end by itself, as it does when nobody can ask it anything more."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def close(self) -> None:
        """End the process."""
        self._stay()
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ask(self, request: bytes) -> list[Made]:
        process = self._process
        if process is None or process.returncode is not None or _is_closed(process):
            process = self._process = await self._start()
        if process.stdin is None or process.stdout is None:
            raise ConnectionError
        process.stdin.write(request)
        await process.stdin.drain()
        length = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))[0]
        if length > MAX_RESULT_OCTETS:
            raise ConnectionError
        return _decoder.decode(await process.stdout.readexactly(length))

    async def _code(self) -> int | None:
        """Return by what the process ended; None if it has not."""
        if self._process is None:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                return await self._process.wait()
        return None

    async def _start(self) -> Process:
        """Start a process that knows nothing of our settings, and so of no secret."""
        known = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", _CHILD, str(self._memory), stdin=PIPE, stdout=PIPE,
            stderr=asyncio.subprocess.DEVNULL, env=known,
        )  # fmt: skip

    async def _fail(self, why: str, error: BaseException) -> None:
        _ended.labels(why).inc()
        log.warning("worker ended", why=why, reason=repr(error))
        await self.close()


def _is_closed(process: Process) -> bool:
    return process.stdin is None or process.stdin.is_closing()


class Workshop:
    """All workers.

    Attributes:
        is_open: There are any: else nothing may be asked of it.
    """

    def __init__(
        self, workers: int, *, patience: timedelta, memory: int, idleness: timedelta
    ) -> None:
        self.is_open = bool(workers)
        self._free: asyncio.LifoQueue[Worker] = asyncio.LifoQueue()  # the others may end
        self._all = [
            Worker(patience=patience, memory=memory, idleness=idleness) for _ in range(workers)
        ]
        for worker in self._all:
            self._free.put_nowait(worker)

    async def make(self, job: Job) -> Made:
        """Let the next free worker do ``job``; raise `Broken` if it cannot.

        Where the worker was killed, the job is tried once more.
        """
        [made] = await self.make_all([job])
        return made

    async def make_all(self, jobs: Sequence[Job]) -> list[Made]:
        """Let the next free worker do ``jobs`` within the bounds of one, likewise."""
        worker = await self._free.get()
        try:
            try:
                return await worker.make(jobs)
            except Broken as broken:
                if not broken.was_killed:
                    raise
                return await worker.make(jobs)
        finally:
            self._free.put_nowait(worker)

    async def close(self) -> None:
        """End all."""
        for worker in self._all:
            await worker.close()


@asynccontextmanager
async def open_workshop(
    workers: int,
    *,
    patience: timedelta,
    memory: int,
    idleness: timedelta = IDLENESS,
) -> AsyncIterator[Workshop]:
    """Have so many workers while inside.

    Args:
        workers: Processes at once.
        patience: What jobs may take.
        memory: Octets of address space of a worker.
        idleness: How long a process is kept that has nothing to do.
    """
    workshop = Workshop(workers, patience=patience, memory=memory, idleness=idleness)
    try:
        yield workshop
    finally:
        await workshop.close()
