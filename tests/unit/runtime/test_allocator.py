"""The allocator: what is large lies in pages of its own and leaves no hole in the heap."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from posthouse.runtime.allocator import enlarge_pages, large_pages

# Between two buffers lies something that stays, as it does between two connections.
PROGRAM = """
from pathlib import Path
from posthouse.runtime.allocator import LARGE_OCTETS, settle_allocator

def heap() -> int:
    [line] = [line for line in Path("/proc/self/maps").read_text().splitlines() if "[heap]" in line]
    first, last = line.split()[0].split("-")
    return int(last, 16) - int(first, 16)

if {settled}:
    assert settle_allocator()
del (once := [bytearray(8 * LARGE_OCTETS)])[:]  # from now on it would use the heap
before, kept = heap(), [bytearray(LARGE_OCTETS) for _ in range(100)]
print((heap() - before) // LARGE_OCTETS)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
@pytest.mark.parametrize("settled", [True, False])
def test_large_buffers_stay_out_of_the_heap(*, settled: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(settled=settled)],
        check=True,
        capture_output=True,
        text=True,
    )

    in_the_heap = int(done.stdout)
    assert (in_the_heap == 0) if settled else (in_the_heap > 90)


SMAPS = """\
55d000100000-55d000900000 rw-p 00000000 00:00 0                          [heap]
Size:               8192 kB
Rss:                8000 kB
Pss:                8000 kB
7f0000000000-7f0000400000 rw-p 00000000 00:00 0 
Size:               4096 kB
Rss:                4096 kB
7f0000400000-7f0000c00000 rw-p 00000000 00:00 0 
Size:               8192 kB
Rss:                  64 kB
7f0000c00000-7f0001000000 r-xp 00000000 fe:00 338944                     /usr/lib/libc.so.6
Size:               4096 kB
Rss:                4096 kB
7f0001000000-7f0001400000 rw-p 00000000 fe:00 338944                     /usr/lib/libc.so.6
Size:               4096 kB
Rss:                4096 kB
"""  # noqa: W291  as Linux writes it


def test_large_pages_are_those_of_the_process_that_are_in_use() -> None:
    heap = [0x55D000200000, 0x55D000400000, 0x55D000600000]
    assert list(large_pages(SMAPS)) == [*heap, 0x7F0000000000, 0x7F0000200000]


def test_nothing_is_lost_where_pages_are_enlarged() -> None:
    kept = [bytes([number]) * 4 * 1024 * 1024 for number in range(4)]
    enlarge_pages()
    assert [set(one) for one in kept] == [{0}, {1}, {2}, {3}]
