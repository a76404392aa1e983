"""Filing into a Maildir, once. Blocking.

    tmp/NAME written, fsync ─▶ linked as new/NAME, fsync ─▶ (ledger) ─▶ tmp/NAME removed

NAME is made of the message and the recipient, so the second time is known for what it is: as long
as the ledger does not have the result, tmp/NAME is there, and it has a second name once it was
delivered, wherever a reader has moved that. Filed twice is only what we died over before the
ledger had it, and its reader deleted before the second time. What a death leaves in tmp, readers
remove after 36 hours, as they do for everybody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from delivery_remote.folders.places import folder, write_all

PIECE_OCTETS = 256 * 1024
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o600
_SUBFOLDERS = ("tmp", "new", "cur")


class Maildir:
    """The Maildir ``parts`` below ``root``."""

    def __init__(self, root: Path, parts: Sequence[str], *, create: bool) -> None:
        self._root = root
        self._parts = tuple(parts)
        self._create = create

    def file(self, name: str, prefix: bytes, body: BinaryIO) -> None:
        """File ``prefix`` and ``body`` as ``name``, durably; the second time changes nothing.

        Raises:
            OSError: Nothing was filed.
        """
        for below in _SUBFOLDERS:  # all three, or it is no Maildir
            with self._open(below):
                pass
        with self._open("tmp") as tmp, self._open("new") as new:
            if _is_delivered(tmp, name):
                return
            with (
                _written(tmp, name, prefix, body) as handle,
                suppress(FileExistsError),  # delivered, and tmp was tidied up since
            ):
                # What we wrote, not what is called so by now: an attempt that hung goes on beside
                # the next one. Of the two only the one that is in tmp can be linked.
                os.link(f"/proc/self/fd/{handle}", name, dst_dir_fd=new, follow_symlinks=True)
            os.fsync(new)

    def forget(self, name: str) -> None:
        """The ledger has it: what would have told of a second time can go."""
        with self._open("tmp") as tmp, suppress(FileNotFoundError):
            os.unlink(name, dir_fd=tmp)

    def _open(self, below: str) -> AbstractContextManager[int]:
        return folder(self._root, (*self._parts, below), create=self._create)


def _is_delivered(tmp: int, name: str) -> bool:
    """True if an earlier attempt came through; else what it left is removed."""
    with suppress(FileNotFoundError):
        if os.stat(name, dir_fd=tmp, follow_symlinks=False).st_nlink > 1:
            return True
        os.unlink(name, dir_fd=tmp)
    return False


@contextmanager
def _written(tmp: int, name: str, prefix: bytes, body: BinaryIO) -> Iterator[int]:
    """Write a file, or none: what a full disk or our end leaves is removed; yield it open."""
    handle = os.open(name, _NEW_FILE, _MODE, dir_fd=tmp)
    is_whole = False
    try:
        write_all(handle, prefix)
        body.seek(0)
        while piece := body.read(PIECE_OCTETS):
            write_all(handle, piece)
        os.fsync(handle)
        is_whole = True
        yield handle
    finally:
        if not is_whole and _is_it(handle, tmp, name):
            os.unlink(name, dir_fd=tmp)
        os.close(handle)


def _is_it(handle: int, tmp: int, name: str) -> bool:
    """True if ``name`` is still that of the open file."""
    with suppress(FileNotFoundError):
        named = os.stat(name, dir_fd=tmp, follow_symlinks=False)
        return os.path.samestat(named, os.fstat(handle))
    return False
