"""Objects in a directory: the store of one machine.

    put ─▶ `writing`: what has gathered, one flush ─▶ all return
    put_file ─▶ its turn ─▶ a thread: one flush, then the file gets its name
    get ─▶ page cache, without waiting ─▶ else a thread
    get_many ─▶ page cache, as long as it has them ─▶ else a thread: the disk is told of all, then
                they are read

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
from typing import TypeVar

from posthouse.blobs.deadlines import Deadlines
from posthouse.blobs.port import CHECK_KEY, StoredObject, checked_key, checked_prefix
from posthouse.blobs.reading import read, read_cached, read_many, read_many_cached
from posthouse.blobs.turns import Turns
from posthouse.blobs.writing import ProcessWriter, ThreadWriter, Writer, fail, unavailable
from posthouse.durable.files import Files, walk
from posthouse.mail.errors import MissingObject, Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

WAITING_MAX = 1000  # objects; more are refused
READERS = 4
FILERS = 4  # threads that make objects of files; none before the first of these
LISTED_AT_ONCE = 1000

_RESTORED = counter(
    "posthouse_blobs_restored_total", "Objects that a power cut took and the journal gave back."
)
log = get_logger()

T = TypeVar("T")


class DiskBlobs:
    """Implements `posthouse.blobs.port.Blobs` in a directory; made by `open_disk`."""

    def __init__(
        self, files: Files, writer: Writer, readers: ThreadPoolExecutor, deadline: timedelta
    ) -> None:
        self.nearby = Path(files.unfinished)
        self._files = files
        self._writer = writer
        self._readers = readers
        self._filers = ThreadPoolExecutor(FILERS, "blob-filer")
        self._turns = Turns(FILERS, deadline)
        self._deadline = deadline
        self._deadlines = Deadlines(deadline, _give_up)
        self._loop = asyncio.get_running_loop()
        self._filing = 0

    async def put(self, key: str, octets: bytes) -> None:
        """See `posthouse.blobs.port.Blobs.put`."""
        await self.begin(key, octets)

    def begin(self, key: str, octets: bytes) -> asyncio.Future[None]:
        """See `posthouse.blobs.port.Blobs.begin`."""
        checked_key(key)
        self._demand_room()
        done: asyncio.Future[None] = self._loop.create_future()
        self._deadlines.watch(done)
        self._writer.ask(key, octets, done)
        return done

    async def put_file(self, key: str, descriptor: int) -> None:
        """See `posthouse.blobs.port.Blobs.put_file`."""
        checked_key(key)
        own = os.dup(descriptor)  # the number may soon mean another file
        try:
            async with self._turns.turn(os.fstat(own).st_size):
                self._demand_room()
                done = self._loop.run_in_executor(self._filers, self._files.adopt, key, own)
                own = -1  # it is the thread's
                self._filing += 1
                done.add_done_callback(self._filed)
                await asyncio.shield(done)
        except OSError as trouble:
            raise unavailable(trouble) from trouble
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
        with _named_trouble(""):
            found = read_many_cached(paths)
        if left := paths[len(found) :]:
            found += await self._elsewhere(read_many, left)
        return found

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

    def _demand_room(self) -> None:
        if self._writer.waiting + self._filing >= WAITING_MAX:
            raise _too_busy()

    def _filed(self, done: asyncio.Future[None]) -> None:
        self._filing -= 1
        if not done.cancelled():
            done.exception()  # seen: whoever waits, if he still does, is told as well

    async def _in_time(self, done: asyncio.Future[T]) -> T:
        try:
            async with asyncio.timeout(self._deadline.total_seconds()):
                return await done
        except TimeoutError as late:
            raise _too_slow() from late

    def close(self) -> None:
        """Begin nothing new in a thread; what is under way there goes on."""
        self._deadlines.close()
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._filers.shutdown(wait=False)


@asynccontextmanager
async def open_disk(
    root: Path, deadline: timedelta, *, writes_apart: bool = False
) -> AsyncIterator[DiskBlobs]:
    """Open the store in ``root``, which is made if it is missing; raise `Unavailable`.

    With ``writes_apart`` a process of its own writes, see `posthouse.blobs.writing`.
    """
    files = Files(root)
    readers = ThreadPoolExecutor(READERS, "blob-reader")
    writer = ProcessWriter(root, deadline) if writes_apart else ThreadWriter(files, deadline)
    blobs = DiskBlobs(files, writer, readers, deadline)
    try:
        await blobs.open()
        async with writer:
            yield blobs
    finally:
        blobs.close()


@contextmanager
def _named_trouble(key: str) -> Iterator[None]:
    """Raise `MissingObject` for an object that is not there, `Unavailable` for what else fails."""
    try:
        yield
    except FileNotFoundError as missing:
        raise MissingObject("message is not in the store", detail=f"no object {key}") from missing
    except OSError as trouble:
        raise unavailable(trouble) from trouble


def _give_up(done: asyncio.Future[None]) -> None:
    fail(done, _too_slow())


def _too_slow() -> Unavailable:
    return Unavailable("object store does not answer", detail="disk: too slow")


def _too_busy() -> Unavailable:
    return Unavailable("object store is too busy", detail="disk: too many writes wait")


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
