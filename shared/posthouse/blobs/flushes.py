"""What the kernel is asked for to make files durable. Blocking, Linux."""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)


def write_at(descriptor: int, octets: bytes, at: int) -> None:
    """Write all of ``octets`` to the place ``at``."""
    rest = memoryview(octets)
    while rest:
        written = os.pwrite(descriptor, rest, at)
        rest, at = rest[written:], at + written


def write_durably_at(descriptor: int, octets: bytes, at: int) -> None:
    """As `write_at`, and return when they are durable (RWF_DSYNC, see pwritev2(2))."""
    rest = memoryview(octets)
    while rest:
        written = os.pwritev(descriptor, [rest], at, os.RWF_DSYNC)
        rest, at = rest[written:], at + written


def sync_folder(folder: str) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(folder: str) -> None:
    """Make everything on the file system of ``folder`` durable, see syncfs(2)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), folder)
    finally:
        os.close(descriptor)
