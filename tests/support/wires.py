"""A wire between a service and one of its servers, which a test holds or cuts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

_PIECE_OCTETS = 65536


@dataclass
class Wire:
    """Carries octets both ways for any number of connections.

    Attributes:
        url: The server's address with the wire's port: what the service is told.
        dropped: What the service said while the wire was held.
    """

    url: str
    _host: str
    _port: int
    dropped: bytearray = field(default_factory=bytearray)
    _flows: asyncio.Event = field(default_factory=asyncio.Event)
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)

    def hold(self) -> None:
        """Drop from now on whatever the service says; what it hears goes on."""
        self._flows.clear()

    def resume(self) -> None:
        """Carry again, over new connections."""
        self.cut()
        self._flows.set()

    def cut(self) -> None:
        """Break all connections that there are; new ones are taken."""
        for end in self._ends:
            end.transport.abort()

    async def _carry(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, on = await asyncio.open_connection(self._host, self._port)
        self._ends |= {back, on}
        ways = [
            asyncio.create_task(self._pump(near, on, said=True)),
            asyncio.create_task(self._pump(far, back, said=False)),
        ]
        try:  # one side's end is the end of both, however much is held: as when it is killed
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._ends -= {back, on}
            back.transport.abort()
            on.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, said: bool
    ) -> None:
        with suppress(ConnectionError):
            while piece := await source.read(_PIECE_OCTETS):
                if said and not self._flows.is_set():
                    self.dropped += piece
                    continue
                sink.write(piece)
                await sink.drain()


@asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    """Lay a wire to the server at ``url``."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    laid = Wire(url, parts.hostname, parts.port)
    laid._flows.set()
    tasks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(laid._carry(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    userinfo, at, _ = parts.netloc.rpartition("@")
    laid.url = urlunsplit(parts._replace(netloc=f"{userinfo}{at}127.0.0.1:{port}"))
    try:
        yield laid
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
