"""Files made durable: what the disk driver does in its threads. Blocking, Linux.

A small object is written and then entered into the journal, many of them with one flush. A large
one would cost its octets twice: temporary file, fsync, rename, fsync of the directory, and of
every directory made for it. A file that somebody else has written gets a name instead of being
copied. None is reported before it would survive a power cut.
"""

from __future__ import annotations

import errno
import itertools
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from posthouse.durable.flushes import sync_folder
from posthouse.durable.journal import Journal, recover

JOURNALED_OCTETS = 128 * 1024  # of the largest object that goes through the journal
UNFINISHED = ".unfinished"  # folder of temporary files, on the same file system
_ABANDONED_SECONDS = 3600.0  # an unfinished file this old belongs to a process that died
_KNOWN_FOLDERS_MAX = 1000

# It lies on another file system; its last name is gone, and it was not made without one.
_NOT_LINKABLE = {errno.EXDEV, errno.ENOENT}

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Write:
    """One object on its way to the disk.

    Attributes:
        key: Its key.
        path: Its file.
        octets: What it holds.
        fault: Why it is not stored; None if it is, or is still under way.
        descriptor: The file that is being written, while it is open; else negative.
        begun: The name of that file; removed if the write fails.
    """

    key: str
    path: str
    octets: bytes
    fault: OSError | None = None
    descriptor: int = -1
    begun: str = ""


class Files:
    """The files of one store; `write` and `close` are called from one thread only, `adopt` from any.

    Paths are plain strings: joining them with pathlib costs as much as writing the file.

    Attributes:
        root: The store's folder.
        unfinished: The folder of temporary files.
    """

    def __init__(self, root: Path) -> None:
        self.root = str(root.absolute())
        self.unfinished = f"{self.root}/{UNFINISHED}"
        self._mine = f"{self.unfinished}/{secrets.token_hex(8)}"
        self._count = itertools.count()
        self._durable: set[str] = set()
        self._journal = Journal(self.root)

    def open(self) -> int:
        """Make the folders and tidy up after processes that died.

        Returns how many objects had been stored and were lost when the machine went down; they
        are back from the journals.
        """
        self._prepare(self.unfinished)
        restored = recover(self.root, self._restore)
        for path in Path(self.unfinished).iterdir():
            with suppress(FileNotFoundError):  # another process tidies up as well
                if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                    path.unlink()
        return restored

    def close(self) -> None:
        """Leave no journal behind; after the last `write`."""
        self._journal.close()

    def path_of(self, key: str) -> str:
        """Return the file of the object ``key``."""
        return f"{self.root}/{key}"

    def new_write(self, key: str, octets: bytes) -> Write:
        """Return what `write` takes."""
        return Write(key=key, path=self.path_of(key), octets=octets)

    def write(self, writes: Sequence[Write]) -> None:
        """Store many objects with few flushes; a fault stays with the object it concerns."""
        self._write_journaled([one for one in writes if len(one.octets) <= JOURNALED_OCTETS])
        self._write_through([one for one in writes if len(one.octets) > JOURNALED_OCTETS])
        for write in writes:
            if write.fault is not None:
                _clear_away(write)

    def adopt(self, key: str, descriptor: int) -> None:
        """Make the open file the object ``key``, or a copy of it if it lies elsewhere.

        The descriptor is closed. Blocks as long as all its octets take to the disk.

        Raises:
            OSError: It is not stored.
        """
        write = self.new_write(key, b"")
        try:
            self._name(write, descriptor)
            _sync(write)
            self._place(write)
            sync_folder(_folder(write))
        except OSError:
            _clear_away(write)
            raise
        finally:
            os.close(descriptor)

    def _name(self, write: Write, descriptor: int) -> None:
        """Give the file a name among the unfinished ones; if it has no place here, to a copy."""
        name = self._new_name()
        try:
            # src_dir_fd means nothing here, but makes it linkat(2), which follows the link.
            os.link(f"/proc/self/fd/{descriptor}", name, src_dir_fd=descriptor)
        except OSError as refused:
            if refused.errno not in _NOT_LINKABLE:
                raise
            write.descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            write.begun = name
            _copy(descriptor, write.descriptor)
        else:
            write.begun = name
            write.descriptor = os.dup(descriptor)

    def _new_name(self) -> str:
        return f"{self._mine}-{next(self._count)}"

    def _write_journaled(self, writes: Sequence[Write]) -> None:
        _each(writes, self._lay)
        laid = [write for write in writes if write.fault is None]
        if laid and (fault := _fault_of(self._enter, laid)):
            for write in laid:
                write.fault = fault

    def _write_through(self, writes: Sequence[Write]) -> None:
        _each(writes, self._fill)
        _each(writes, _sync)
        _each(writes, self._place)
        faults: dict[str, OSError | None] = {}
        for write in writes:
            if write.fault is None:
                folder = _folder(write)
                if folder not in faults:
                    faults[folder] = _fault_of(sync_folder, folder)
                write.fault = faults[folder]

    def _lay(self, write: Write) -> None:
        """Write the file; one that is there already does not change under a reader's eyes."""
        try:
            self._begin_in_its_folder(write)
        except FileExistsError:
            _begin(write, self._new_name())
            os.rename(write.begun, write.path)  # noqa: PTH104 - see the class
        _end(write)

    def _begin_in_its_folder(self, write: Write) -> None:
        try:
            _begin(write, write.path)
        except FileNotFoundError:
            os.makedirs(_folder(write), 0o700, exist_ok=True)  # noqa: PTH103 - see the class
            _begin(write, write.path)

    def _enter(self, laid: Sequence[Write]) -> None:
        self._journal.write((write.key, write.octets) for write in laid)

    def _restore(self, key: str, octets: bytes) -> bool:
        """Write the object ``key`` unless it is there, whole; not yet durable."""
        with suppress(FileNotFoundError):
            if Path(self.path_of(key)).read_bytes() == octets:
                return False
        self._lay(self.new_write(key, octets))
        return True

    def _fill(self, write: Write) -> None:
        _begin(write, self._new_name())

    def _place(self, write: Write) -> None:
        folder = _folder(write)
        self._prepare(folder)
        try:
            os.rename(write.begun, write.path)  # noqa: PTH104 - see the class
        except FileNotFoundError:  # somebody removed the folder: make it again, once
            self._durable.clear()
            self._prepare(folder)
            os.rename(write.begun, write.path)  # noqa: PTH104 - see the class

    def _prepare(self, folder: str) -> None:
        """Make ``folder`` and see that its name and those above it are on the disk."""
        if folder in self._durable:
            return
        path, root = Path(folder), Path(self.root)
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for above in path.parents:
            sync_folder(str(above))
            if above == root.parent:
                break
        if len(self._durable) >= _KNOWN_FOLDERS_MAX:
            self._durable.clear()
        self._durable.add(folder)


def _folder(write: Write) -> str:
    return write.path.rpartition("/")[0]


def _each(writes: Sequence[Write], step: Callable[[Write], None]) -> None:
    for write in writes:
        if write.fault is None:
            write.fault = _fault_of(step, write)


def _fault_of(step: Callable[[T], None], about: T) -> OSError | None:
    try:
        step(about)
    except OSError as fault:
        return fault
    return None


def _begin(write: Write, path: str) -> None:
    """Write the octets to a new file ``path``, which stays open."""
    write.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    write.begun = path
    rest = memoryview(write.octets)
    while rest:
        rest = rest[os.write(write.descriptor, rest) :]


def _copy(source: int, target: int) -> None:
    at, size = 0, os.fstat(source).st_size
    while at < size:
        at += os.sendfile(target, source, at, size - at)


def _sync(write: Write) -> None:
    os.fsync(write.descriptor)
    _end(write)


def _end(write: Write) -> None:
    os.close(write.descriptor)
    write.descriptor = -1


def _clear_away(write: Write) -> None:
    """Leave nothing behind of a write that failed."""
    with suppress(OSError):  # the disk is in trouble anyway; `Files.open` tidies up later
        if write.descriptor >= 0:
            os.close(write.descriptor)
        os.unlink(write.begun)  # noqa: PTH108 - see `Files`


def walk(root: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield key and status of every object in the folder ``prefix`` and below."""
    folders = [prefix]
    while folders:
        folder = folders.pop()
        with suppress(FileNotFoundError), os.scandir(f"{root}/{folder}") as entries:
            for entry in entries:
                key = f"{folder}/{entry.name}" if folder else entry.name
                if entry.name.startswith("."):  # no key does
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(key)
                    continue
                with suppress(FileNotFoundError):  # removed while we look
                    yield key, entry.stat(follow_symlinks=False)
