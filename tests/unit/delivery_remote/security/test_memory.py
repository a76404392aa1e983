"""What was found out is kept for a while, by one for all, and never without bound."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from delivery_remote.security import memory as room
from delivery_remote.security.memory import Memory
from posthouse.mail.errors import Unavailable


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Look:
    """Counts; fails if it is told to."""

    def __init__(self) -> None:
        self.count = 0
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self) -> int | None:
        await self.go.wait()
        self.count += 1
        return None  # also nothing is something to remember


async def test_one_looks_and_the_others_wait_for_it() -> None:
    memory: Memory[int | None] = Memory(timedelta(seconds=60), Clock())
    look = Look()
    look.go.clear()
    asked = [asyncio.create_task(memory.get("b.test", look)) for _ in range(10)]
    await asyncio.sleep(0)
    look.go.set()
    await asyncio.gather(*asked)

    assert look.count == 1
    await memory.get("c.test", look)
    assert look.count == 2


async def test_it_is_looked_again_when_the_time_is_over() -> None:
    clock = Clock()
    memory: Memory[int | None] = Memory(timedelta(seconds=60), clock)
    look = Look()
    for moment in (0.0, 59.0, 61.0, 100.0):
        clock.now = moment
        await memory.get("b.test", look)

    assert look.count == 2


async def test_a_failure_is_not_remembered() -> None:
    async def fails() -> int | None:
        raise Unavailable("away")

    memory: Memory[int | None] = Memory(timedelta(seconds=60), Clock())
    with pytest.raises(Unavailable):
        await memory.get("b.test", fails)
    look = Look()
    await memory.get("b.test", look)
    assert look.count == 1


async def test_whoever_looks_may_be_cancelled_and_the_next_looks() -> None:
    memory: Memory[int | None] = Memory(timedelta(seconds=60), Clock())
    look = Look()
    look.go.clear()
    first = asyncio.create_task(memory.get("b.test", look))
    second = asyncio.create_task(memory.get("b.test", look))
    await asyncio.sleep(0)
    first.cancel()
    look.go.set()
    await second

    assert look.count == 1


async def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_KEPT", 100)
    clock = Clock()
    memory: Memory[int | None] = Memory(timedelta(seconds=60), clock)
    look = Look()
    for n in range(250):
        await memory.get(f"d{n}.test", look)
        assert len(memory._kept) <= 100
    clock.now = 61.0
    await memory.get("b.test", look)
    assert len(memory._kept) <= 51
