"""A line to the broker is given up within moments, also in the middle of connecting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aio_pika.abc import AbstractConnection

from posthouse.bus.line import Line


async def test_a_cancellation_that_the_library_swallows_still_stops_the_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connecting = asyncio.Event()

    @asynccontextmanager
    async def swallowing(_line: Line) -> AsyncIterator[AbstractConnection]:
        connecting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("refused") from None
        yield pytest.fail("never connected")

    monkeypatch.setattr(Line, "_open", swallowing)
    async with asyncio.timeout(1), asyncio.TaskGroup() as tasks:
        line = Line("amqp://127.0.0.1:1/", "test", "testing", lambda _: asyncio.sleep(0), tasks)
        line.start()
        await connecting.wait()

        await line.stop()
