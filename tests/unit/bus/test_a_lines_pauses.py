"""How often a line knocks: a broker that boots for some seconds is found soon after."""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import AbstractAsyncContextManager

import pytest
from aio_pika.abc import AbstractConnection

from posthouse.bus.line import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, PAUSE_GROWTH, Line


async def test_a_pause_is_a_tenth_of_the_time_waited_and_never_beyond_the_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    enough = asyncio.Event()

    def refused(_line: Line) -> AbstractAsyncContextManager[AbstractConnection]:
        raise ConnectionError("refused")

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 60:
            enough.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(Line, "_open", refused)
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        line = Line("amqp://127.0.0.1:1/", "test", "testing", lambda _: _nothing(), tasks)
        line.start()
        await enough.wait()
        await line.stop()

    waited = itertools.accumulate(pauses, initial=0.0)
    share = PAUSE_GROWTH - 1
    for pause, before in zip(pauses, waited, strict=False):
        assert pause <= FIRST_PAUSE_SECONDS + share * before + 1e-6
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    assert share <= 0.1 + 1e-6


async def _nothing() -> None:
    return
