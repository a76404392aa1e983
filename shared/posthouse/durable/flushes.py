"""What the kernel is asked for to make files durable. Blocking, Linux."""

from __future__ import annotations

import ctypes
import errno
import os

# The file system, or what stands for the kernel (gVisor), knows no such flag.
_UNKNOWN_FLAG = {errno.EOPNOTSUPP, errno.EINVAL}

_libc = ctypes.CDLL(None, use_errno=True)


def write_at(descriptor: int, octets: bytes | memoryview, at: int) -> None:
    """Write all of ``octets`` to the place ``at``."""
    rest = memoryview(octets)
    while rest:
        written = os.pwrite(descriptor, rest, at)
        rest, at = rest[written:], at + written


def write_durably_at(descriptor: int, octets: bytes, at: int) -> None:
    """As `write_at`, and return when they are durable."""
    rest = memoryview(octets)
    try:
        while rest:  # pwritev2(2): one call for what would be a write and a flush
            written = os.pwritev(descriptor, [rest], at, os.RWF_DSYNC)
            rest, at = rest[written:], at + written
    except OSError as refused:
        if refused.errno not in _UNKNOWN_FLAG:
            raise
        write_at(descriptor, rest, at)
        os.fdatasync(descriptor)


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
