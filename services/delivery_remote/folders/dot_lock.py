"""The lock file beside an mbox, as readers and other mailers look for it. Blocking.

    NAME.lock made ─▶ flock ─▶ still NAME.lock? ─▶ our mark ─▶ (work) ─▶ removed

Its flock ends with the process: one that bears our mark and can be locked was left behind by a
process that died, and is taken away at once. Of others nobody knows; they count for
`STALE_SECONDS`.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

STALE_SECONDS = 600  # somebody else's lock file that is older was left by somebody who died
MARK = b"posthouse\n"
_MODE = 0o600
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_THERE = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Locked(Exception):
    """Somebody else is at work on the file."""


@contextmanager
def dot_lock(place: int, name: str) -> Iterator[None]:
    """Hold the lock file ``name`` in the folder ``place``.

    Raises:
        Locked: Somebody else holds it.
        OSError: It cannot be made.
    """
    _take_away_what_is_dead(place, name)
    try:
        handle = os.open(name, _NEW, _MODE, dir_fd=place)
    except FileExistsError as held:
        raise Locked from held
    try:
        if not _is_ours_now(handle, place, name):  # it was taken away before it had its mark
            raise Locked
        try:
            os.write(handle, MARK)
            yield
        finally:
            if _is_it(handle, place, name):
                os.unlink(name, dir_fd=place)
    finally:
        os.close(handle)


def _take_away_what_is_dead(place: int, name: str) -> None:
    with suppress(FileNotFoundError):
        about = os.stat(name, dir_fd=place, follow_symlinks=False)
        if stat.S_ISREG(about.st_mode) and about.st_size == len(MARK):
            _take_away_ours(place, name)
        elif time.time() - about.st_mtime > STALE_SECONDS:
            os.unlink(name, dir_fd=place)


def _take_away_ours(place: int, name: str) -> None:
    """Remove the lock file of a process of ours that died; leave what one of them holds."""
    handle = os.open(name, _THERE, dir_fd=place)
    try:
        if os.pread(handle, len(MARK), 0) == MARK and _is_ours_now(handle, place, name):
            os.unlink(name, dir_fd=place)
    finally:
        os.close(handle)


def _is_ours_now(handle: int, place: int, name: str) -> bool:
    """Lock the open lock file; True if nobody holds it and it still is what ``name`` says."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return _is_it(handle, place, name)


def _is_it(handle: int, place: int, name: str) -> bool:
    try:
        named = os.stat(name, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(handle))
