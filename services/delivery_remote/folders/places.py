"""Going down from the root to a folder, without being led astray by a link. Blocking."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MODE = 0o700


@contextmanager
def folder(root: Path, parts: Sequence[str], *, create: bool) -> Iterator[int]:
    """Open the folder ``parts`` below ``root``; no part of it may be a symbolic link.

    Raises:
        OSError: It is not there (and not to be made), or not ours to use.
    """
    handle = os.open(root, _FOLDER)
    try:
        for part in parts:
            below = _step(handle, part, create=create)
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)


def _step(handle: int, part: str, *, create: bool) -> int:
    if create:
        with suppress(FileExistsError):
            os.mkdir(part, _MODE, dir_fd=handle)
            os.fsync(handle)  # of one that was there already nothing has changed
    return os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)


def write_all(handle: int, octets: bytes) -> None:
    """Write ``octets``, however often the system has to be asked."""
    view = memoryview(octets)
    while view:
        view = view[os.write(handle, view) :]
