"""How long others wait while large messages come in: a session of ingress that asks for nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from onemachine.ports import LOOPBACK

PAUSE_SECONDS = 0.005


@asynccontextmanager
async def noops(port: int) -> AsyncIterator[list[float]]:
    """Say NOOP again and again while inside; what is yielded fills with milliseconds waited."""
    waits: list[float] = []
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    await reader.readline()
    asking = asyncio.create_task(_ask(reader, writer, waits))
    try:
        yield waits
    finally:
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        writer.close()
        await writer.wait_closed()


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, waits: list[float]
) -> None:
    while True:
        began = time.perf_counter()
        writer.write(b"NOOP\r\n")
        if not await reader.readline():
            return
        waits.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(PAUSE_SECONDS)
