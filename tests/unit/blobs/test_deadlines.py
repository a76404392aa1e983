"""What is not done in time is given up, by one timer for all."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from posthouse.blobs.deadlines import Deadlines
from posthouse.blobs.writing import fail
from posthouse.mail.errors import Unavailable


def give_up(done: asyncio.Future[None]) -> None:
    fail(done, Unavailable("too slow"))


async def test_each_is_given_up_and_what_was_done_is_left_alone() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(timedelta(milliseconds=20), give_up)
    first, soon, last = (loop.create_future() for _ in range(3))
    for one in (first, soon):
        deadlines.watch(one)
    soon.set_result(None)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(first, 30)
    deadlines.watch(last)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(last, 30)
    assert soon.result() is None


async def test_what_is_done_is_forgotten() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(timedelta(hours=1), give_up)
    for _ in range(1000):
        done = loop.create_future()
        deadlines.watch(done)
        done.set_result(None)
    assert len(deadlines._line) == 1
    deadlines.close()


async def test_nobody_need_hear_of_what_was_given_up() -> None:
    troubles: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: troubles.append(context))
    give_up(loop.create_future())
    await asyncio.sleep(0)
    assert not troubles
