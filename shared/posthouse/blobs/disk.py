"""Objects in a directory: the store of one machine.

    put ─▶ queue ─▶ one thread: takes what has gathered, one flush ─▶ all return
    put_file ─▶ its turn ─▶ a thread: one flush, then the file gets its name
    get ─▶ page cache, without waiting ─▶ else a thread
    get_many ─▶ a thread: the disk is told of all, then they are read

Several processes may use one directory. What hangs (a dead network mount) becomes `Unavailable`
after the deadline; the thread it hangs in is left behind.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeAlias, TypeVar

from posthouse.blobs.files import Files, Write, walk
from posthouse.blobs.port import CHECK_KEY, StoredObject, checked_key, checked_prefix
from posthouse.blobs.reading import read, read_cached, read_many
from posthouse.blobs.turns import Turns
from posthouse.mail.errors import MissingObject, Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

GATHER_MAX = 64  # objects per flush; they fit into half a journal
WAITING_MAX = 1000  # objects; more are refused
READERS = 4
FILERS = 4  # threads that make objects of files; none before the first of these
LISTED_AT_ONCE = 1000

_RESTORED = counter(
    "posthouse_blobs_restored_total", "Objects that a power cut took and the journal gave back."
)
log = get_logger()

_Job: TypeAlias = tuple[Write, "asyncio.Future[None]"]
T = TypeVar("T")


class DiskBlobs:
    """Implements `posthouse.blobs.port.Blobs` in a directory; made by `open_disk`."""

    def __init__(self, files: Files, readers: ThreadPoolExecutor, deadline: timedelta) -> None:
        self.nearby = Path(files.unfinished)
        self._files = files
        self._readers = readers
        self._filers = ThreadPoolExecutor(FILERS, "blob-filer")
        self._turns = Turns(FILERS, deadline)
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._waiting = 0

    async def put(self, key: str, octets: bytes) -> None:
        """See `posthouse.blobs.port.Blobs.put`."""
        write = self._files.new_write(checked_key(key), octets)
        if self._waiting >= WAITING_MAX:
            raise _too_busy()
        done: asyncio.Future[None] = self._loop.create_future()
        late = self._loop.call_later(self._deadline.total_seconds(), _give_up, done)
        self._waiting += 1
        self._jobs.put((write, done))  # at last: the thread wants the interpreter at once
        try:
            await done
        finally:
            late.cancel()

    async def put_file(self, key: str, descriptor: int) -> None:
        """See `posthouse.blobs.port.Blobs.put_file`."""
        checked_key(key)
        own = os.dup(descriptor)  # the number may soon mean another file
        try:
            async with self._turns.turn(os.fstat(own).st_size):
                if self._waiting >= WAITING_MAX:
                    raise _too_busy()
                done = self._loop.run_in_executor(self._filers, self._files.adopt, key, own)
                own = -1  # it is the thread's
                self._waiting += 1
                done.add_done_callback(self._filed)
                await asyncio.shield(done)
        except OSError as trouble:
            raise _unavailable(trouble) from trouble
        finally:
            if own >= 0:
                os.close(own)

    async def get(self, key: str) -> bytes:
        """See `posthouse.blobs.port.Blobs.get`."""
        return await self._read(key, 0, None)

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        """See `posthouse.blobs.port.Blobs.get_range`."""
        return await self._read(key, start, end)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `posthouse.blobs.port.Blobs.get_many`."""
        paths = [self._files.path_of(checked_key(key)) for key in keys]
        return await self._elsewhere(read_many, paths)

    async def delete(self, keys: Sequence[str]) -> None:
        """See `posthouse.blobs.port.Blobs.delete`."""
        paths = [self._files.path_of(checked_key(key)) for key in keys]
        for start in range(0, len(paths), LISTED_AT_ONCE):
            await self._elsewhere(_remove, paths[start : start + LISTED_AT_ONCE])

    async def list(self, prefix: str = "") -> AsyncIterator[StoredObject]:
        """See `posthouse.blobs.port.Blobs.list`."""
        entries = walk(self._files.root, checked_prefix(prefix))
        while portion := await self._elsewhere(_portion, entries):
            for found in portion:
                yield found

    async def check(self) -> None:
        """See `posthouse.blobs.port.Blobs.check`."""
        await self.put(CHECK_KEY, b"")

    async def open(self) -> None:
        """Make the folders, and back what a power cut took; `open_disk` does it first."""
        restored = await self._elsewhere(self._files.open)
        if restored:
            _RESTORED.inc(restored)
            log.warning("objects restored from the journal", objects=restored)

    async def _read(self, key: str, start: int, end: int | None) -> bytes:
        path = self._files.path_of(checked_key(key))
        with _named_trouble(key):
            octets = read_cached(path, start, end)
        if octets is None:
            octets = await self._elsewhere(read, path, start, end, key=key)
        return octets

    async def _elsewhere(self, work: Callable[..., T], *arguments: object, key: str = "") -> T:
        """Do ``work`` in a thread, within the deadline."""
        with _named_trouble(key):
            return await self._in_time(self._loop.run_in_executor(self._readers, work, *arguments))

    def _filed(self, done: asyncio.Future[None]) -> None:
        self._waiting -= 1
        if not done.cancelled():
            done.exception()  # seen: whoever waits, if he still does, is told as well

    async def _in_time(self, done: asyncio.Future[T]) -> T:
        try:
            async with asyncio.timeout(self._deadline.total_seconds()):
                return await done
        except TimeoutError as late:
            raise _too_slow() from late

    def serve(self) -> None:
        """Write what is asked for until `stop`; runs in the one thread that writes."""
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
            self._jobs.put(None)  # seen too early: `serve` shall see it

    def _report(self, jobs: Sequence[_Job]) -> None:
        self._waiting -= len(jobs)
        for write, done in jobs:
            if done.done():
                continue
            if write.fault is None:
                done.set_result(None)
            else:
                done.set_exception(_unavailable(write.fault))

    def stop(self) -> None:
        """Let `serve` return after what is waiting."""
        self._jobs.put(None)

    def close(self) -> None:
        """Begin nothing new in a thread; what is under way there goes on."""
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._filers.shutdown(wait=False)


@asynccontextmanager
async def open_disk(root: Path, deadline: timedelta) -> AsyncIterator[DiskBlobs]:
    """Open the store in ``root``, which is made if it is missing; raise `Unavailable`."""
    files = Files(root)
    readers = ThreadPoolExecutor(READERS, "blob-reader")
    blobs = DiskBlobs(files, readers, deadline)
    writer = Thread(target=blobs.serve, name="blob-writer", daemon=True)
    try:
        await blobs.open()
        writer.start()
        yield blobs
    finally:
        blobs.stop()
        if writer.is_alive():
            await asyncio.to_thread(writer.join, deadline.total_seconds())
        blobs.close()


@contextmanager
def _named_trouble(key: str) -> Iterator[None]:
    """Raise `MissingObject` for an object that is not there, `Unavailable` for what else fails."""
    try:
        yield
    except FileNotFoundError as missing:
        raise MissingObject("message is not in the store", detail=f"no object {key}") from missing
    except OSError as trouble:
        raise _unavailable(trouble) from trouble


def _give_up(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_exception(_too_slow())


def _too_slow() -> Unavailable:
    return Unavailable("object store does not answer", detail="disk: too slow")


def _too_busy() -> Unavailable:
    return Unavailable("object store is too busy", detail="disk: too many writes wait")


def _unavailable(trouble: OSError) -> Unavailable:
    return Unavailable("object store is not available", detail=f"disk: {trouble}")


def _remove(paths: Sequence[str]) -> None:
    for path in paths:
        with suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - see `Files`


def _portion(entries: Iterator[tuple[str, os.stat_result]]) -> list[StoredObject]:
    return [
        StoredObject(
            key=key, size=status.st_size, stored_at=datetime.fromtimestamp(status.st_mtime, UTC)
        )
        for key, status in islice(entries, LISTED_AT_ONCE)
    ]
