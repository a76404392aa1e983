"""Files made durable: what the disk driver does in its threads. Blocking, POSIX.

A name appears only when its octets are on the disk, and is reported only when the name itself
is: temporary file, fsync, rename, fsync of the directory, and of every directory made for it.
"""

from __future__ import annotations

import itertools
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

UNFINISHED = ".unfinished"  # folder of temporary files, on the same file system
_ABANDONED_SECONDS = 3600.0  # an unfinished file this old belongs to a process that died
_KNOWN_FOLDERS_MAX = 1000

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Write:
    """One object on its way to the disk.

    Attributes:
        path: Its file.
        octets: What it holds.
        unfinished: The temporary file.
        fault: Why it is not stored; None if it is, or is still under way.
        descriptor: That file, while it is open; else negative.
    """

    path: str
    octets: bytes
    unfinished: str
    fault: OSError | None = None
    descriptor: int = -1


class Files:
    """The files of one store; `write` is called from one thread only.

    Paths are plain strings: joining them with pathlib costs as much as writing the file.

    Attributes:
        root: The store's folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = str(root.absolute())
        self._unfinished = f"{self.root}/{UNFINISHED}"
        self._names = (f"{secrets.token_hex(8)}-{n}" for n in itertools.count())
        self._durable: set[str] = set()

    def open(self) -> None:
        """Make the folders; remove what processes that died left unfinished."""
        self._prepare(self._unfinished)
        for path in Path(self._unfinished).iterdir():
            with suppress(FileNotFoundError):  # another process tidies up as well
                if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                    path.unlink()

    def path_of(self, key: str) -> str:
        """Return the file of the object ``key``."""
        return f"{self.root}/{key}"

    def new_write(self, key: str, octets: bytes) -> Write:
        """Return what `write` takes."""
        unfinished = f"{self._unfinished}/{next(self._names)}"
        return Write(path=self.path_of(key), octets=octets, unfinished=unfinished)

    def write(self, writes: Sequence[Write]) -> None:
        """Store many objects with few fsyncs; a fault stays with the object it concerns."""
        self._each(writes, self._fill)
        self._each(writes, _sync)
        self._each(writes, self._place)
        self._sync_folders([write for write in writes if write.fault is None])
        for write in writes:
            _clear_away(write)

    def _each(self, writes: Sequence[Write], step: Callable[[Write], None]) -> None:
        for write in writes:
            if write.fault is None:
                write.fault = _fault_of(step, write)

    def _sync_folders(self, placed: Sequence[Write]) -> None:
        faults: dict[str, OSError | None] = {}
        for write in placed:
            folder = _folder(write)
            if folder not in faults:
                faults[folder] = _fault_of(_sync_folder, folder)
            write.fault = faults[folder]

    def _fill(self, write: Write) -> None:
        write.descriptor = os.open(write.unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        rest = memoryview(write.octets)
        while rest:
            rest = rest[os.write(write.descriptor, rest) :]

    def _place(self, write: Write) -> None:
        folder = _folder(write)
        self._prepare(folder)
        try:
            os.rename(write.unfinished, write.path)  # noqa: PTH104 - see the class
        except FileNotFoundError:  # somebody removed the folder: make it again, once
            self._durable.clear()
            self._prepare(folder)
            os.rename(write.unfinished, write.path)  # noqa: PTH104 - see the class

    def _prepare(self, folder: str) -> None:
        """Make ``folder`` and see that its name and those above it are on the disk."""
        if folder in self._durable:
            return
        path, root = Path(folder), Path(self.root)
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for above in path.parents:
            _sync_folder(str(above))
            if above == root.parent:
                break
        if len(self._durable) >= _KNOWN_FOLDERS_MAX:
            self._durable.clear()
        self._durable.add(folder)


def _folder(write: Write) -> str:
    return write.path.rpartition("/")[0]


def _fault_of(step: Callable[[T], None], about: T) -> OSError | None:
    try:
        step(about)
    except OSError as fault:
        return fault
    return None


def _sync(write: Write) -> None:
    os.fsync(write.descriptor)
    os.close(write.descriptor)
    write.descriptor = -1


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _clear_away(write: Write) -> None:
    """Leave nothing behind of a write that failed."""
    if write.fault is None:
        return
    with suppress(OSError):  # the disk is in trouble anyway; `Files.open` tidies up later
        if write.descriptor >= 0:
            os.close(write.descriptor)
        os.unlink(write.unfinished)  # noqa: PTH108 - see the class


def walk(root: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield key and status of every object in the folder ``prefix`` and below."""
    folders = [prefix]
    while folders:
        folder = folders.pop()
        with suppress(FileNotFoundError), os.scandir(f"{root}/{folder}") as entries:
            for entry in entries:
                key = f"{folder}/{entry.name}" if folder else entry.name
                if entry.name == UNFINISHED:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(key)
                    continue
                with suppress(FileNotFoundError):  # removed while we look
                    yield key, entry.stat(follow_symlinks=False)
