"""Processor time of processes with all their descendants, from /proc (proc(5)); no root needed.

The time of a child that has ended is in its parent's account once the parent has waited for it,
so the sum over a living tree misses nothing.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Fields of /proc/<pid>/stat behind the name: ppid is field 4; utime, stime, cutime, cstime 14-17.
_PARENT = 1
_TIMES = slice(11, 15)
_IDLE, _IOWAIT = 3, 4  # of the first line of /proc/stat
_CALIBRATION_ROUNDS = 200_000


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    seconds: float


def _processes() -> dict[int, _Process]:
    found = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked; its parent has its time
        ticks = sum(map(int, fields[_TIMES]))
        found[int(entry.name)] = _Process(int(fields[_PARENT]), ticks / TICKS_PER_SECOND)
    return found


def used(roots: Mapping[str, int]) -> dict[str, float]:
    """Return the seconds that each named process and its descendants have used so far."""
    processes = _processes()
    children: dict[int, list[int]] = defaultdict(list)
    for pid, process in processes.items():
        children[process.parent].append(pid)
    seconds = {}
    for name, root in roots.items():
        line, total = [root], 0.0
        while line:
            pid = line.pop()
            total += processes[pid].seconds if pid in processes else 0.0
            line += children[pid]
        seconds[name] = total
    return seconds


def busy() -> float:
    """Return the seconds that all cores together have worked since the machine started."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    ticks = [int(field) for field in fields]
    return (sum(ticks) - ticks[_IDLE] - ticks[_IOWAIT]) / TICKS_PER_SECOND


def calibration() -> float:
    """Return milliseconds of one fixed loop, the best of three: how fast a core is right now.

    A virtual machine's cores are not equally fast all day; only runs where this agrees compare.
    """
    best = float("inf")
    for _ in range(3):
        began, value = time.perf_counter(), 0
        for step in range(_CALIBRATION_ROUNDS):
            value = (value * 31 + step) & 0xFFFFFFFF
        best = min(best, time.perf_counter() - began)
    return round(best * 1000, 2)


def cores() -> int:
    """Return how many cores this machine has."""
    return os.cpu_count() or 1


def used_exactly(roots: Mapping[str, int]) -> float:
    """Return the seconds that these processes and their living descendants have used so far.

    To the nanosecond, where `used` counts hundredths; but who has ended is not counted.
    """
    processes = _processes()
    children: dict[int, list[int]] = defaultdict(list)
    for pid, process in processes.items():
        children[process.parent].append(pid)
    line, nanoseconds = list(roots.values()), 0
    while line:
        pid = line.pop()
        line += children[pid]
        for task in Path("/proc", str(pid), "task").glob("*/schedstat"):
            with suppress(FileNotFoundError, ProcessLookupError):
                nanoseconds += int(task.read_text().split()[0])
    return nanoseconds / 1e9
