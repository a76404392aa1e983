"""The transport below aio-pika: what is written in one turn of the loop leaves in one segment.

The library hands over every frame by itself, and uvloop sends each at once: a system call, a
segment and a wake-up of the broker per message. Gathered, publishing costs half.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from typing import Any

from aio_pika import Connection
from aio_pika.abc import TimeoutType
from aiormq.connection import Connection as Bare
from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError
from yarl import URL

READ_OCTETS = 131_072  # AMQP's largest frame, as RabbitMQ negotiates it
MAX_GATHERED_OCTETS = 262_144  # more is written without waiting for the end of the turn


# Frames that may wait for the writer, or for the reader of a channel. With the library's own 10, a
# batch of publishes soon waits for its lock, which is handed over once per turn: one frame, one
# segment again. And what is read then waits ten frames at a time: three envelopes a turn.
MAX_FRAMES = 1024
Bare.FRAME_BUFFER_SIZE = MAX_FRAMES


class GatheringWriter(asyncio.StreamWriter):
    """A stream writer that writes once per turn of the event loop."""

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        protocol: asyncio.StreamReaderProtocol,
        reader: asyncio.StreamReader,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(transport, protocol, reader, loop)
        self._turns = loop
        self._gathered = bytearray()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write ``data`` soon."""
        if not self._gathered:
            self._turns.call_soon(self.flush)
        self._gathered += data
        if len(self._gathered) > MAX_GATHERED_OCTETS:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered, unless it is too late."""
        gathered, self._gathered = self._gathered, bytearray()
        if gathered and not self.is_closing():
            super().write(gathered)

    async def drain(self) -> None:
        """Wait until the other side keeps up."""
        self.flush()
        await super().drain()

    def write_eof(self) -> None:
        """Write what has gathered, and that it was the last."""
        self.flush()
        super().write_eof()

    def close(self) -> None:
        """Write what has gathered and close."""
        self.flush()
        super().close()


class GatheringTransport(TransportFactory):
    """Opens such streams, with TLS for ``amqps``."""

    async def create(
        self,
        url: URL,
        **kwargs: Any,  # noqa: ANN401 - the library's signature
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the broker.

        Its certificate must lead to an authority of the URL's ``cafile`` (one of the system's if
        there is none) and say the URL's host.

        Raises:
            AMQPConnectionError: If nobody is there, or not the one we trust.
        """
        provider = kwargs.pop("ssl_context_provider", None)
        context: ssl.SSLContext | None = None
        if url.scheme == "amqps":
            context = await provider.get_context()
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READ_OCTETS, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await loop.create_connection(
                lambda: protocol, url.host or "", url.port or 0, ssl=context, **kwargs
            )
        except OSError as error:
            raise AMQPConnectionError(_in_words(error)) from error
        return reader, GatheringWriter(transport, protocol, reader, loop)


def _in_words(error: OSError) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is refused: {error.verify_message}"
        case ssl.SSLError():
            return f"no TLS with it: {error.reason}"
        case _:
            return str(error)


class GatheringConnection(Connection):
    """An aio-pika connection over such a stream."""

    def __init__(self, url: URL, **kwargs: Any) -> None:  # noqa: ANN401 - the library's signature
        super().__init__(url, **kwargs)
        self.kwargs["transport_factory"] = GatheringTransport()

    async def connect(self, timeout: TimeoutType = None) -> None:  # noqa: ASYNC109 - the library's
        """Connect, or close what was begun.

        The library leaves that to the garbage collector, which may come when no loop runs.
        """
        try:
            await super().connect(timeout)
        except BaseException:
            await self.close()
            raise
        if self.transport is not None:
            below = self.transport.connection
            below.channel = partial(below.channel, frame_buffer_size=MAX_FRAMES)  # type: ignore[method-assign]
