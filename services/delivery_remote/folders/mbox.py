"""Appending to an mbox, once. Blocking.

    locked ─▶ .NAME.KEY says where, fsync ─▶ appended, fsync ─▶ (ledger) ─▶ .NAME.KEY removed

Locked by ``NAME.lock`` and by fcntl, as readers and other mailers lock it. KEY is made of the
message and the recipient: the second time finds the file that says where the first has written. If
all of it stands there, it was delivered. What a death left half-written is cut off, if it is a part
of this message and nothing stands behind it. Appended twice is only what we died over before the
ledger had it, and somebody else changed the file before the second time.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from delivery_remote.folders.dot_lock import Locked, dot_lock
from delivery_remote.folders.places import folder, write_all

PIECE_OCTETS = 256 * 1024
BESIDE_OCTETS = 42  # what .NAME.KEY has more than NAME: KEY has 32 digits, R, and up to 7 more
_MODE = 0o600
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Left(Enum):
    """What an earlier attempt has left where it began."""

    WHOLE = "all of the message"
    PART = "its beginning, and nothing behind that"
    OTHER = "nothing of it that we could tell"


class Mbox:
    """The file ``parts`` below ``root``."""

    def __init__(self, root: Path, parts: Sequence[str], *, create: bool) -> None:
        *folders, self._name = parts
        self._root = root
        self._folders = tuple(folders)
        self._create = create

    def file(self, key: str, prefix: bytes, body: BinaryIO) -> None:
        """Append ``prefix`` and ``body`` and an empty line, durably; the second time does nothing.

        Raises:
            OSError: Nothing was appended.
            Locked: Likewise.
        """
        with (
            folder(self._root, self._folders, create=self._create) as place,
            dot_lock(place, f"{self._name}.lock"),
            self._opened(place) as handle,
        ):
            size = os.fstat(handle).st_size
            start = _noted(place, self._note(key))
            if start is not None:
                left = _left_at(handle, start, prefix, body)
                if left is Left.WHOLE:
                    return
                if left is Left.PART:  # all that stands there is ours
                    os.ftruncate(handle, start)
                    size = start
            gap = _gap(handle, size)
            _note_down(place, self._note(key), size + len(gap))
            _append(handle, size, gap + prefix, body)

    def forget(self, key: str) -> None:
        """The ledger has it: what would have told of a second time can go."""
        with (
            folder(self._root, self._folders, create=False) as place,
            suppress(FileNotFoundError),
        ):
            os.unlink(self._note(key), dir_fd=place)

    def _note(self, key: str) -> str:
        return f".{self._name}.{key}"

    @contextmanager
    def _opened(self, place: int) -> Iterator[int]:
        """Open the file and lock it; it must be a file, of one name."""
        handle = os.open(
            self._name, _FILE | (os.O_CREAT if self._create else 0), _MODE, dir_fd=place
        )
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
                raise PermissionError("not a file of one name")
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as held:
                raise Locked from held
            if self._create:
                os.fsync(place)
            yield handle
        finally:
            os.close(handle)


def _noted(place: int, name: str) -> int | None:
    """Return where an earlier attempt has begun to write; None if there was none."""
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
    except FileNotFoundError:
        return None
    with open(handle, "rb") as note:  # noqa: PTH123 - an open file
        text = note.read(32)
    return int(text) if text.isdigit() else None


def _note_down(place: int, name: str, start: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=place)
    handle = os.open(name, _NEW_FILE, _MODE, dir_fd=place)
    try:
        write_all(handle, str(start).encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    os.fsync(place)


def _left_at(handle: int, start: int, prefix: bytes, body: BinaryIO) -> Left:
    """Return what stands at ``start``, octet for octet; `PART` only if the file ends in it."""
    at = start
    for piece in _pieces(prefix, body):
        found = os.pread(handle, len(piece), at)
        at += len(found)
        if found != piece:
            return Left.PART if piece.startswith(found) and _ends_at(handle, at) else Left.OTHER
    return Left.WHOLE


def _ends_at(handle: int, at: int) -> bool:
    return os.fstat(handle).st_size == at


def _pieces(prefix: bytes, body: BinaryIO) -> Iterator[bytes]:
    """Yield a message as it is written, with the empty line that ends it."""
    yield prefix
    body.seek(0)
    while piece := body.read(PIECE_OCTETS):
        yield piece
    yield b"\n"


def _gap(handle: int, size: int) -> bytes:
    """Return what must stand before a new message: a ``From `` begins a line."""
    return b"" if size == 0 or os.pread(handle, 1, size - 1) == b"\n" else b"\n\n"


def _append(handle: int, size: int, prefix: bytes, body: BinaryIO) -> None:
    """Write at the end, all or nothing."""
    os.lseek(handle, size, os.SEEK_SET)
    is_whole = False
    try:
        for piece in _pieces(prefix, body):
            write_all(handle, piece)
        os.fsync(handle)
        is_whole = True
    finally:
        if not is_whole:
            os.ftruncate(handle, size)  # a full disk keeps what it had
