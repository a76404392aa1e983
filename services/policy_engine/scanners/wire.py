"""A connection to a scanner: it writes a message while it listens, because an answer may come early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from policy_engine.scanners.addresses import Address
from policy_engine.scanners.trouble import Broken

T = TypeVar("T")

MAX_ANSWER_OCTETS = 256 * 1024


@dataclass(frozen=True, slots=True)
class Wire:
    """An open connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, octets: bytes) -> None:
        """Write, and wait while much is under way."""
        self.writer.write(octets)
        await self.writer.drain()

    async def until(self, end: bytes) -> bytes:
        """Return what comes up to ``end``, without it.

        Raises:
            EOFError: If the connection ends before that.
            Broken: If too much comes before that.
        """
        try:
            return (await self.reader.readuntil(end))[: -len(end)]
        except asyncio.LimitOverrunError as overrun:
            raise Broken("its answer has no end") from overrun

    async def exchange(self, writing: Awaitable[None], reading: Callable[[], Awaitable[T]]) -> T:
        """Return what ``reading`` returns, while ``writing`` goes on as long as it is wanted.

        A scanner that has seen enough answers and closes: then the rest cannot be written.
        """
        answer = asyncio.ensure_future(reading())
        sending = asyncio.ensure_future(writing)
        try:
            await asyncio.wait((answer, sending), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                with suppress(ConnectionError):  # the answer, or its absence, says why
                    await sending
            return await answer
        finally:
            for each in (answer, sending):
                each.cancel()
            await asyncio.gather(answer, sending, return_exceptions=True)


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Wire]:
    """Open a connection to ``address``; raise `OSError` if there is none."""
    if address.path:
        streams = await asyncio.open_unix_connection(address.path, limit=MAX_ANSWER_OCTETS)
    else:
        streams = await asyncio.open_connection(address.host, address.port, limit=MAX_ANSWER_OCTETS)
    reader, writer = streams
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
