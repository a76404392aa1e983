"""The C library's allocator, told what a server with many connections needs. Of glibc; Linux.

By itself it begins to cut large buffers out of the heap as soon as one of them was freed. uvloop
keeps one of 256 KiB for each TLS connection, of which a page or two are ever used: in the heap it
walls in what the handshake needed besides, and an idle connection takes 47 instead of 25 KiB.
"""

from __future__ import annotations

import ctypes

# mallopt(3). Once the first is set, neither moves by itself any more.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
LARGE_OCTETS = 256 * 1024  # from here on a buffer is mapped, and its pages go when it is freed
SPARE_OCTETS = 1024 * 1024  # the heap keeps at its top, so that it does not go up and down


def settle_allocator() -> bool:
    """Map large buffers, for as long as the process lives; False where that cannot be said."""
    try:
        settle = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl maps them by itself
        return False
    settle.argtypes, settle.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return bool(settle(_MMAP_THRESHOLD, LARGE_OCTETS) and settle(_TRIM_THRESHOLD, SPARE_OCTETS))
