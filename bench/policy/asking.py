"""Asking a pod of policy as ingress does, at a pace or one after the other, and what that cost it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench import processor


@dataclass(frozen=True, slots=True)
class Figure:
    """What a number of questions took.

    Attributes:
        name: How the table calls them.
        count: How many.
        processor_ms: CPU of the pod, each.
        waits_ms: How long each waited, from when it was due; in order of length.
    """

    name: str
    count: int
    processor_ms: float
    waits_ms: tuple[float, ...]

    def wait(self, share: float) -> float:
        """Return what ``share`` of them waited at most, in milliseconds."""
        return self.waits_ms[min(int(len(self.waits_ms) * share), len(self.waits_ms) - 1)]


Question = Callable[[int], Awaitable[None]]


async def paced(name: str, pid: int, question: Question, count: int, per_second: int) -> Figure:
    """Ask ``count`` times, so many a second whatever the answers take."""
    waits: list[float] = []
    before, began = processor.used_exactly({name: pid}), time.perf_counter()

    async def ask(n: int) -> None:
        due = began + n / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await question(n)
        waits.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as tasks:
        for n in range(count):
            tasks.create_task(ask(n))
    return _figure(name, processor.used_exactly({name: pid}) - before, waits)


async def in_turn(name: str, pid: int, question: Question, count: int) -> Figure:
    """Ask ``count`` times, one after the other."""
    waits: list[float] = []
    before = processor.used_exactly({name: pid})
    for n in range(count):
        began = time.perf_counter()
        await question(n)
        waits.append(time.perf_counter() - began)
    return _figure(name, processor.used_exactly({name: pid}) - before, waits)


def _figure(name: str, seconds: float, waits: Sequence[float]) -> Figure:
    return Figure(
        name,
        len(waits),
        seconds * 1000 / len(waits),
        tuple(sorted(wait * 1000 for wait in waits)),
    )


def pinned(pid: int) -> None:
    """Give a process, with all its threads, one core."""
    for task in Path("/proc", str(pid), "task").iterdir():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), {0})
