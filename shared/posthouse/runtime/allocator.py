"""Memory as a server with many connections needs it: glibc's allocator, and Linux' pages.

By itself it begins to cut large buffers out of the heap as soon as one of them was freed. uvloop
keeps one of 256 KiB for each TLS connection, of which a page or two are ever used: in the heap it
walls in what the handshake needed besides, and an idle connection takes 47 instead of 25 KiB.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from pathlib import Path

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


_LARGE_PAGE = 2 * 1024 * 1024
_COLLAPSE = 25  # madvise(2), since Linux 6.1
_MAPPING = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ \d+ *(?:\[heap\])?\n.*?^Rss: *(\d+) kB$",
    re.MULTILINE | re.DOTALL,
)


def enlarge_pages() -> int:
    """Have what is in memory now lie in pages of 2 MiB; return how many, 0 where there are none such.

    To be called when a service has all that it needs for each request. A virtual machine finds a page of
    4 KiB through two dozen table entries, and forgets it when processes take turns.
    """
    try:
        advise = ctypes.CDLL(None).madvise
        smaps = Path("/proc/self/smaps").read_text()
    except (AttributeError, OSError):  # no glibc, no Linux
        return 0
    advise.argtypes, advise.restype = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int), ctypes.c_int
    return sum(advise(page, _LARGE_PAGE, _COLLAPSE) == 0 for page in large_pages(smaps))


def large_pages(smaps: str) -> Iterator[int]:
    """Yield where large pages may begin, in what is in use of a process's own (proc_pid_smaps(5)).

    Not in stacks of threads, say, of which next to nothing is ever used.
    """
    for mapping in _MAPPING.finditer(smaps):
        start, end, used = int(mapping[1], 16), int(mapping[2], 16), int(mapping[3]) * 1024
        if used * 4 >= (end - start) * 3:
            yield from range(
                -(-start // _LARGE_PAGE) * _LARGE_PAGE, end - _LARGE_PAGE + 1, _LARGE_PAGE
            )
