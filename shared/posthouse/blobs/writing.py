"""Who writes small objects: a thread of this process, or a process of its own.

    ask ─▶ queue ──▶ one thread: takes what has gathered, one flush ──▶ all are told
    ask ─▶ socket ─▶ one process: the same (`posthouse.durable.scribe`)

A thread is there at once and takes no memory. A process needs no interpreter of ours: it is at work
while the loop is, where a thread waits for each of its turns. One that has ended is replaced by the
next who asks.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from posthouse.durable.files import Files, Write
from posthouse.durable.scribe import GATHER_MAX, answers, asked
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger

AGAIN = timedelta(seconds=1)  # so long a process must have been there to be replaced at once
END_SECONDS = 1.0  # so long after it was killed a process has ended, or the disk holds it
_HEARD_OCTETS = 64 * 1024
_SCRIBE = "posthouse.durable.scribe"

log = get_logger()

_Job: TypeAlias = tuple[Write, "asyncio.Future[None]"]


class Writer(Protocol):
    """Writes objects; a context manager around those who ask."""

    @property
    def waiting(self) -> int:
        """How many are asked for and not yet written, wanted or not."""
        ...

    def ask(self, key: str, octets: bytes, done: asyncio.Future[None]) -> None:
        """Write an object; ``done`` gets a result when it is durable, or `Unavailable`."""
        ...

    async def __aenter__(self) -> Self:
        """Begin."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what was asked for, within the deadline, and leave no journal."""
        ...


class ThreadWriter:
    """A thread of this process."""

    def __init__(self, files: Files, deadline: timedelta) -> None:
        self.waiting = 0
        self._files = files
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = Thread(target=self._serve, name="blob-writer", daemon=True)

    async def __aenter__(self) -> Self:
        """Start it."""
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let it end; one that hangs is left behind."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, self._deadline.total_seconds())

    def ask(self, key: str, octets: bytes, done: asyncio.Future[None]) -> None:
        """See `Writer.ask`."""
        self.waiting += 1
        self._jobs.put(
            (self._files.new_write(key, octets), done)
        )  # it wants the interpreter at once

    def _serve(self) -> None:
        """Write what is asked for; runs in the thread."""
        while (job := self._jobs.get()) is not None:
            gathered = [job, *islice(self._gathered(), GATHER_MAX - 1)]
            self._files.write([write for write, _ in gathered])
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._report, gathered)
        with suppress(OSError):  # the journal stays, and is read by who opens the store next
            self._files.close()

    def _gathered(self) -> Iterator[_Job]:
        with suppress(Empty):
            while (job := self._jobs.get_nowait()) is not None:
                yield job
            self._jobs.put(None)  # seen too early: `_serve` shall see it

    def _report(self, jobs: Sequence[_Job]) -> None:
        self.waiting -= len(jobs)
        for write, done in jobs:
            _tell(done, str(write.fault) if write.fault is not None else "")


class ProcessWriter:
    """A process of its own, started when it is needed; the first who asks waits for it."""

    def __init__(self, root: Path, deadline: timedelta) -> None:
        self._root = str(root.absolute())
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        self._line: _Line | None = None
        self._began = 0.0

    @property
    def waiting(self) -> int:
        """See `Writer`."""
        return self._line.waiting if self._line is not None else 0

    async def __aenter__(self) -> Self:
        """Start it: who asks first need not wait for it then."""
        await self._tasks.__aenter__()
        self._line = self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let it end, whatever went wrong among those who asked; one that hangs is killed."""
        if self._line is not None:
            self._line.finish()
        late = self._loop.call_later(self._deadline.total_seconds(), self._kill)
        try:
            await self._tasks.__aexit__(None, None, None)
        finally:
            late.cancel()

    def ask(self, key: str, octets: bytes, done: asyncio.Future[None]) -> None:
        """See `Writer.ask`."""
        line = self._line
        if line is None or line.is_lost:
            if self._loop.time() < self._began + AGAIN.total_seconds():
                _tell(done, "the process that writes ends again and again")
                return
            line = self._line = self._start()
        line.ask(key, octets, done)

    def _start(self) -> _Line:
        self._began = self._loop.time()
        ours, theirs = socket.socketpair()
        line = _Line(ours)
        task = self._tasks.create_task(self._run(line, theirs), name="scribe")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return line

    async def _run(self, line: _Line, theirs: socket.socket) -> None:
        """Start a process that knows none of our settings, and see it end."""
        known = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", _SCRIBE, self._root, stdin=theirs.fileno(), stdout=DEVNULL, env=known
                )  # fmt: skip
        except OSError as trouble:
            log.warning("writer of objects not started", reason=str(trouble))
            line.lose()
            return
        try:
            if code := await process.wait():
                log.warning("writer of objects ended", code=code)
        except asyncio.CancelledError:
            with suppress(ProcessLookupError, TimeoutError):
                process.kill()
                async with asyncio.timeout(END_SECONDS):
                    await process.wait()
            raise
        finally:
            line.lose()

    def _kill(self) -> None:
        for task in self._running:
            task.cancel()


class _Line:
    """The way to one process and back.

    Attributes:
        is_lost: It has ended: nothing can be asked any more.
    """

    def __init__(self, line: socket.socket) -> None:
        self.is_lost = False
        self._line = line
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._came = bytearray()
        self._asked: deque[asyncio.Future[None]] = deque()
        self._is_finishing = False
        line.settimeout(0)
        self._loop.add_reader(line, self._hear)

    @property
    def waiting(self) -> int:
        """How many were asked for and not yet answered."""
        return len(self._asked)

    def ask(self, key: str, octets: bytes, done: asyncio.Future[None]) -> None:
        """Send an object, or keep what the socket does not take yet."""
        self._asked.append(done)
        pieces, sent = asked(key, octets), 0
        if not self._unsent:
            with suppress(OSError):  # full; or gone, as the reader will hear
                sent = self._line.sendmsg(pieces)
            if sent == sum(map(len, pieces)):
                return
            self._loop.add_writer(self._line, self._send)
        self._unsent += b"".join(pieces)[sent:]

    def finish(self) -> None:
        """Ask for nothing more; it ends when it has answered."""
        self._is_finishing = True
        if not (self.is_lost or self._unsent):
            self._line.shutdown(socket.SHUT_WR)

    def lose(self) -> None:
        """It has ended: nobody knows what became of what was not answered."""
        if self.is_lost:
            return
        self.is_lost = True
        self._loop.remove_reader(self._line)
        self._loop.remove_writer(self._line)
        self._line.close()
        self._unsent.clear()
        while self._asked:
            _tell(self._asked.popleft(), "the process that writes has ended")

    def _send(self) -> None:
        with suppress(OSError):
            del self._unsent[: self._line.send(self._unsent)]
        if not self._unsent:
            self._loop.remove_writer(self._line)
            if self._is_finishing:
                self.finish()

    def _hear(self) -> None:
        try:
            octets = self._line.recv(_HEARD_OCTETS)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        if not octets:
            self.lose()
            return
        self._came += octets
        for fault in answers(self._came):
            _tell(self._asked.popleft(), fault)


def _tell(done: asyncio.Future[None], fault: str) -> None:
    """Tell who waits, if he still does."""
    if done.done():
        return
    if fault:
        fail(done, unavailable(fault))
    else:
        done.set_result(None)


def fail(done: asyncio.Future[None], why: Unavailable) -> None:
    """Tell who waits; if nobody does any more, that is no news."""
    done.set_exception(why)
    done.exception()


def unavailable(trouble: OSError | str) -> Unavailable:
    """Name what the disk has said."""
    return Unavailable("object store is not available", detail=f"disk: {trouble}")
