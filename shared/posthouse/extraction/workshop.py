"""Worker processes: each has one job at a time, and bounds of time and memory.

A message that breaks a bound, or its worker, costs only that worker: it is ended and the next job
gets a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec

from posthouse.extraction.jobs import LENGTH, Job, Made, packed
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

MAX_RESULT_OCTETS = 128 * 1024 * 1024
END_SECONDS = 1.0  # so long after its last octet a process has ended, or it never will
_CHILD = "posthouse.extraction.child"

log = get_logger()
_ended = counter("posthouse_index_workers_ended_total", "Worker processes that a job ended.", "why")
_decoder = msgspec.msgpack.Decoder(Made)


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

    def __init__(self, *, patience: timedelta, memory: int) -> None:
        self._seconds = patience.total_seconds()
        self._memory = memory
        self._process: Process | None = None

    async def make(self, job: Job) -> Made:
        """Return what the process makes of ``job``; raise `Broken` if it cannot."""
        was_killed = False
        try:
            async with asyncio.timeout(self._seconds):
                return await self._ask(packed(job))
        except TimeoutError as error:
            await self._fail("time", error)
        except (asyncio.IncompleteReadError, ConnectionError, msgspec.DecodeError) as error:
            was_killed = await self._code() == -signal.SIGKILL
            await self._fail("death", error)
        except asyncio.CancelledError:
            await self.close()
            raise
        raise Broken(was_killed=was_killed)

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ask(self, request: bytes) -> Made:
        process = self._process
        if process is None or process.returncode is not None:
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


class Workshop:
    """All workers.

    Attributes:
        is_open: There are any: else nothing may be asked of it.
    """

    def __init__(self, workers: int, *, patience: timedelta, memory: int) -> None:
        self.is_open = bool(workers)
        self._free: asyncio.Queue[Worker] = asyncio.Queue()
        self._all = [Worker(patience=patience, memory=memory) for _ in range(workers)]
        for worker in self._all:
            self._free.put_nowait(worker)

    async def make(self, job: Job) -> Made:
        """Let the next free worker do ``job``; raise `Broken` if it cannot.

        Where the worker was killed, the job is tried once more.
        """
        worker = await self._free.get()
        try:
            try:
                return await worker.make(job)
            except Broken as broken:
                if not broken.was_killed:
                    raise
                return await worker.make(job)
        finally:
            self._free.put_nowait(worker)

    async def close(self) -> None:
        """End all."""
        for worker in self._all:
            await worker.close()


@asynccontextmanager
async def open_workshop(
    workers: int, *, patience: timedelta, memory: int
) -> AsyncIterator[Workshop]:
    """Have so many workers while inside."""
    workshop = Workshop(workers, patience=patience, memory=memory)
    try:
        yield workshop
    finally:
        await workshop.close()
