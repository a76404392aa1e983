"""The spool: files for large messages while they come in, so that they are not held in memory.

The files have no names: what a process leaves behind when it dies is gone with it. The folder
should be the store's own (`posthouse.blobs.port.Blobs.nearby`), where the store gives a file a
name instead of copying it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from posthouse.mime import Pages

THREADS = 4  # that write, read and scan
PAGE_OCTETS = 64 * 1024  # read at once; two of them are kept while a file is scanned
COPIED_OCTETS = 1024 * 1024  # at once
# What a file system says that knows no O_TMPFILE, see open(2).
_NO_NAMELESS_FILES = {errno.EOPNOTSUPP, errno.EISDIR}

T = TypeVar("T")


class Spool:
    """A folder for nameless files, and the threads that work on them: ``async with Spool()``."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use ``folder``, or the system's for temporary files."""
        self._folder = str(folder or tempfile.gettempdir())
        self._threads = ThreadPoolExecutor(THREADS, "spool")

    async def __aenter__(self) -> Self:
        """Make a file and throw it away; raise `OSError` if that cannot be done."""
        (await self.create()).close()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def create(self) -> SpoolFile:
        """Return a new, empty file; raise `OSError`."""
        loop = asyncio.get_running_loop()
        opening = loop.run_in_executor(self._threads, _open, self._folder)
        return SpoolFile(await opening, self._threads)


class SpoolFile:
    """One file.

    Attributes:
        descriptor: Open until `close`.
        size: Octets in it.
    """

    def __init__(self, descriptor: int, threads: ThreadPoolExecutor) -> None:
        self.descriptor = descriptor
        self.size = 0
        self._threads = threads
        self._busy = 0
        self._is_closing = False

    async def append(self, octets: bytes | bytearray) -> None:
        """Write ``octets``, which nobody changes meanwhile, at the end; raise `OSError`."""
        await self.work(_write, self.descriptor, octets, self.size)
        self.size += len(octets)

    async def copy(self, other: SpoolFile, start: int) -> None:
        """Write what ``other`` holds from ``start`` on at the end; raise `OSError`."""
        done = self._begun(_copy, other.descriptor, start, self.descriptor, self.size)
        other._hold(done)
        self.size += await asyncio.shield(done)

    def pages(self) -> Pages:
        """Return what is in it, to be read in a thread; see `work`."""
        return Pages(self.size, lambda start, end: _read(self.descriptor, start, end), PAGE_OCTETS)

    async def work(self, work: Callable[..., T], *arguments: object) -> T:
        """Return what ``work`` does in a thread with the file, which stays open meanwhile."""
        return await asyncio.shield(self._begun(work, *arguments))

    def close(self) -> None:
        """Forget the file as soon as nobody works on it."""
        if not self._is_closing:
            self._is_closing = True
            self._close_if_idle()

    def _begun(self, work: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        done = asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        self._hold(done)
        return done

    def _hold(self, done: asyncio.Future[T]) -> None:
        """Stay open until ``done``."""
        self._busy += 1
        done.add_done_callback(self._rest)

    def _rest(self, done: asyncio.Future[T]) -> None:
        self._busy -= 1
        if self._is_closing:
            if not done.cancelled():
                done.exception()  # nobody waits for it any more
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        if not self._busy:
            os.close(self.descriptor)


def _open(folder: str) -> int:
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError as refused:
        if refused.errno not in _NO_NAMELESS_FILES:
            raise
    descriptor, path = tempfile.mkstemp(prefix="spool-", dir=folder)
    os.unlink(path)  # noqa: PTH108 - a string, as above
    return descriptor


def _write(descriptor: int, octets: bytes | bytearray, at: int) -> None:
    rest = memoryview(octets)
    while rest:
        written = os.pwrite(descriptor, rest, at)
        rest, at = rest[written:], at + written


def _copy(source: int, start: int, target: int, at: int) -> int:
    """Copy what ``source`` holds from ``start`` on to ``at`` in ``target``; return how much."""
    copied = 0
    while octets := os.pread(source, COPIED_OCTETS, start + copied):
        _write(target, octets, at + copied)
        copied += len(octets)
    return copied


def _read(descriptor: int, start: int, end: int) -> bytes:
    parts: list[bytes] = []
    while start < end and (part := os.pread(descriptor, end - start, start)):
        parts.append(part)
        start += len(part)
    return b"".join(parts)
