"""Files read: one from the page cache without waiting, one from the disk, many at once. Blocking, Linux."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

INLINE_OCTETS = 262_144  # a larger copy from the page cache would hold up the event loop
INLINE_FILES = 64  # about a millisecond
OPEN_AT_ONCE = 64

# The page is not in the cache; the file system cannot tell; it knows no such flag.
_NOT_WITHOUT_WAITING = {errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL}


def read_cached(path: str, start: int, end: int | None) -> bytes | None:
    """Return what is asked for if it is small and all in the page cache; else None."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        wanted = _wanted(descriptor, start, end)
        if wanted > INLINE_OCTETS:
            return None
        buffer = bytearray(wanted)
        try:
            found = os.preadv(descriptor, [buffer], start, os.RWF_NOWAIT) if wanted else 0
        except OSError as refused:
            if refused.errno in _NOT_WITHOUT_WAITING:
                return None
            raise
        return bytes(buffer) if found == wanted else None
    finally:
        os.close(descriptor)


def read_many_cached(paths: Sequence[str]) -> list[bytes | None]:
    """Return the octets of the first files, up to one that is not all in the page cache, or many.

    None stands for one that is not there.
    """
    found: list[bytes | None] = []
    left = INLINE_OCTETS
    for path in paths[:INLINE_FILES]:
        try:
            octets = read_cached(path, 0, left)
        except FileNotFoundError:
            found.append(None)
            continue
        if octets is None or (left := left - len(octets)) <= 0:  # at 0 it may have been cut
            break
        found.append(octets)
    return found


def read(path: str, start: int, end: int | None) -> bytes:
    """Return what is asked for, from wherever it is."""
    with Path(path).open("rb", buffering=0) as file:
        return _read(file.fileno(), start, end)


def read_many(paths: Sequence[str]) -> list[bytes | None]:
    """Return the octets of small files, None for those that are not there.

    The disk is told of many before the first is waited for: a fifth of the time that one after the
    other takes.
    """
    found: list[bytes | None] = []
    for start in range(0, len(paths), OPEN_AT_ONCE):
        with ExitStack() as stack:
            opened = [_announced(path, stack) for path in paths[start : start + OPEN_AT_ONCE]]
            found += [None if one is None else _read(one, 0, None) for one in opened]
    return found


def _announced(path: str, stack: ExitStack) -> int | None:
    """Open a file and let the disk begin with it; None if there is none such."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    stack.callback(os.close, descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
    return descriptor


def _read(descriptor: int, start: int, end: int | None) -> bytes:
    wanted = _wanted(descriptor, start, end)
    parts: list[bytes] = []
    while wanted > 0 and (part := os.pread(descriptor, wanted, start)):
        parts.append(part)
        start, wanted = start + len(part), wanted - len(part)
    return b"".join(parts)


def _wanted(descriptor: int, start: int, end: int | None) -> int:
    size = os.fstat(descriptor).st_size
    return max(0, (size if end is None else min(size, end)) - start)
