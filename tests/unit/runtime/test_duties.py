"""Duties in the background: they begin and end with their owner, and a bug in one is heard of."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from posthouse.runtime.duties import Duties


async def test_they_end_with_their_owner() -> None:
    ended = asyncio.Event()

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    duties = Duties()
    await duties.begin(for_ever())
    await duties.finish(timedelta(seconds=0.01))
    assert not ended.is_set()
    await duties.end(None, None, None)
    assert ended.is_set()


async def test_those_that_come_to_an_end_are_waited_for() -> None:
    done: list[int] = []
    are_finishing = asyncio.Event()

    async def once() -> None:
        await are_finishing.wait()
        done.append(1)

    duties = Duties()
    await duties.begin(once(), once())
    asyncio.get_running_loop().call_soon(are_finishing.set)
    await duties.finish(timedelta(seconds=20))
    await duties.end(None, None, None)
    assert done == [1, 1]


async def test_a_bug_in_one_does_not_hide() -> None:
    async def broken() -> None:
        raise LookupError("a bug")

    duties = Duties()
    await duties.begin(broken(), asyncio.Event().wait())  # type: ignore[arg-type]
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(20):
            await asyncio.Event().wait()  # who opened their owner is woken
    with pytest.raises(ExceptionGroup) as raised:
        await duties.end(asyncio.CancelledError, asyncio.CancelledError(), None)
    assert raised.group_contains(LookupError, match="a bug")
