"""The allocator: what is large lies in pages of its own and leaves no hole in the heap."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

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
