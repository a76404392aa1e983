"""The journal of a directory of objects: one flush makes a whole batch durable (decision 0010).

    write ─▶ records, into a file whose blocks are there already ─▶ one durable write
    full  ─▶ go on in the other half; syncfs makes the objects durable, then the first one is free
    open  ─▶ what is found in the journal of a process that died is made objects again

A journal belongs to the process that holds the lock on its file, and goes when that ends in good
order. Blocking, Linux.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from posthouse.durable.flushes import sync_file_system, sync_folder, write_at, write_durably_at

JOURNAL = ".journal"  # folder of the journals, on the same file system
HALF_OCTETS = 16 * 1024 * 1024  # of each of the two files a process writes in turn
_LOCK = "lock"  # held by who looks for journals of the dead, or makes one
_FILL_OCTETS = 1024 * 1024
_MAGIC = b"phj1"
# magic, pass over the file, octets of the key, octets of the object, CRC-32 of all these
_HEAD = struct.Struct("<4sQHII")


@dataclass(slots=True)
class _Half:
    """One of the two files.

    Attributes:
        descriptor: Open and locked.
        path: Its name.
        at: Where the next record goes.
        turn: A number that tells this pass's records from those of the last one.
        freed: Done when the objects of its records are durable; None before its first pass ends.
    """

    descriptor: int
    path: str
    at: int = 0
    turn: int = 0
    freed: Future[None] | None = None


class Journal:
    """The journal of this process; used from one thread only. It is made by the first `write`."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._folder = f"{root}/{JOURNAL}"
        self._name = secrets.token_hex(8)
        self._active: _Half | None = None
        self._other: _Half | None = None

    def write(self, records: Iterable[tuple[str, bytes]]) -> None:
        """Return when ``records``, keys with octets, are durable.

        The objects themselves must have been written before, durable or not. All records together
        must fit into `HALF_OCTETS`.

        Raises:
            OSError: None of them is sure to be.
        """
        bodies = [(key.encode(), octets) for key, octets in records]
        half = self._with_room(sum(_HEAD.size + len(key) + len(octets) for key, octets in bodies))
        framed = b"".join(_framed(half.turn, key, octets) for key, octets in bodies)
        write_durably_at(half.descriptor, framed, half.at)
        half.at += len(framed)

    def close(self) -> None:
        """Make the objects durable and remove the journal; if that fails the next `recover` does."""
        halves = [half for half in (self._active, self._other) if half is not None]
        self._active = self._other = None
        wait([half.freed for half in halves if half.freed])  # it writes to the file we close
        try:
            if halves:
                sync_file_system(self._root)
                for half in halves:
                    os.unlink(half.path)  # noqa: PTH108 - see `Files`
        finally:
            for half in halves:
                os.close(half.descriptor)

    def _with_room(self, octets: int) -> _Half:
        """Return the half to write to."""
        if self._active is None:
            self._active = self._new_half("a")
        if self._active.at + octets > HALF_OCTETS:
            self._change_over(self._active)
        return self._active

    def _change_over(self, full: _Half) -> None:
        """Go on in the other half, as soon as what its records speak of is durable."""
        other = self._other or self._new_half("b")
        if other.freed is not None:
            try:
                other.freed.result()
            except OSError:
                other.freed = self._free(other)  # for the next one to ask
                raise
        full.freed = self._free(full)
        self._active, self._other = other, full

    def _free(self, half: _Half) -> Future[None]:
        """Make the objects of ``half`` durable, beside the work."""
        done = Future[None]()

        def run() -> None:
            try:
                sync_file_system(self._root)
                _forget(half)
            except OSError as fault:
                done.set_exception(fault)
            else:
                done.set_result(None)

        Thread(target=run, name="blob-checkpoint", daemon=True).start()
        return done

    def _new_half(self, suffix: str) -> _Half:
        path = f"{self._folder}/{self._name}-{suffix}"
        with _sole(self._folder):  # else it may look like one of a process that died
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            for at in range(0, HALF_OCTETS, _FILL_OCTETS):
                write_at(descriptor, bytes(_FILL_OCTETS), at)
            os.fsync(descriptor)
            sync_folder(self._folder)
        except OSError:
            os.unlink(path)  # noqa: PTH108 - see `Files`
            os.close(descriptor)
            raise
        return _Half(descriptor, path, turn=secrets.randbits(64))


def recover(root: str, restore: Callable[[str, bytes], bool]) -> int:
    """Make objects of what processes that died have left in journals; return how many were missing.

    Args:
        root: The store's folder.
        restore: Called with key and octets of every record, in the order they were written, before
            all is made durable; returns False if the object was there.

    Raises:
        OSError: Some are still to be made.
    """
    folder = f"{root}/{JOURNAL}"
    Path(folder).mkdir(mode=0o700, exist_ok=True)
    with _sole(folder):
        left = [entry.path for entry in os.scandir(folder) if entry.name != _LOCK]
        return sum(_recover_one(root, path, restore) for path in sorted(left))


def _recover_one(root: str, path: str, restore: Callable[[str, bytes], bool]) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:  # its process has just ended in good order
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        restored = sum(restore(key, octets) for key, octets in _records(_content(descriptor)))
        sync_file_system(root)
        Path(path).unlink(missing_ok=True)
    except BlockingIOError:  # its process lives
        return 0
    else:
        return restored
    finally:
        os.close(descriptor)


def _content(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read(HALF_OCTETS)


def _records(octets: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the records of one pass, up to the first that is not whole."""
    at, turn = 0, None
    while at + _HEAD.size <= len(octets):
        magic, this, key_octets, body_octets, checksum = _HEAD.unpack_from(octets, at)
        key_at = at + _HEAD.size
        body_at = key_at + key_octets
        at = body_at + body_octets
        key, body = octets[key_at:body_at], octets[body_at:at]
        if magic != _MAGIC or turn not in {None, this} or _checksum(this, key, body) != checksum:
            return
        turn = this
        yield key.decode(), body


def _framed(turn: int, key: bytes, octets: bytes) -> bytes:
    head = _HEAD.pack(_MAGIC, turn, len(key), len(octets), _checksum(turn, key, octets))
    return b"".join((head, key, octets))


def _checksum(turn: int, key: bytes, octets: bytes) -> int:
    return zlib.crc32(octets, zlib.crc32(key, turn & 0xFFFFFFFF))


def _forget(half: _Half) -> None:
    """Begin a new pass; without its first record the last one is not read again."""
    os.pwrite(half.descriptor, bytes(_HEAD.size), 0)
    half.at, half.turn = 0, secrets.randbits(64)


@contextmanager
def _sole(folder: str) -> Iterator[None]:
    """Be the only one who looks for journals, or makes one, while inside."""
    descriptor = os.open(f"{folder}/{_LOCK}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
