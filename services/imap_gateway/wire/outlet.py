"""The way out of a connection: who writes gives way to others now and then, and to a slow client.

Writes of one turn of the event loop leave together, so a session that goes on without waiting
saves its client half of the packets. It may do so for `TURN`, then the others come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from time import monotonic

from imap_gateway.errors import ConnectionLost
from imap_gateway.wire.compression import Deflater
from imap_gateway.wire.latch import Latch

BUFFER_OCTETS = 256 * 1024  # more than that, and who writes waits for the client
TURN = timedelta(milliseconds=2)  # how long a session may keep the event loop


class Outlet:
    """What one connection writes to; it is attached to one transport after the other.

    Attributes:
        is_lost: The client is gone.
    """

    __slots__ = ("_began", "_clock", "_deflater", "_transport", "_writable", "is_lost")

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._began = 0.0
        self._transport: asyncio.WriteTransport | None = None
        self._deflater: Deflater | None = None
        self.is_lost = False
        self._writable = Latch(is_open=True)

    def attach(self, transport: asyncio.WriteTransport) -> None:
        """Write to this transport from now on."""
        self._transport = transport
        transport.set_write_buffer_limits(high=BUFFER_OCTETS)

    def write(self, octets: bytes) -> None:
        """Send, without waiting; nothing, if the client is gone or was sent away."""
        self._send(octets if self._deflater is None or not octets else self._deflater.add(octets))

    def flush(self) -> None:
        """See to it that the client can read all that was written."""
        if self._deflater is not None:
            self._send(self._deflater.flush())

    @property
    def is_compressed(self) -> bool:
        """What is written is compressed."""
        return self._deflater is not None

    def begin_deflating(self) -> None:
        """Compress what is written from now on."""
        self._deflater = Deflater()

    def end_deflating(self) -> None:
        """Compress nothing any more."""
        if self._deflater is not None:
            self._send(self._deflater.finish())
            self._deflater = None

    def _send(self, octets: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing() and octets:
            self._transport.write(octets)

    def begin_turn(self) -> None:
        """The session has the event loop from now on."""
        self._began = self._clock()

    async def drain(self) -> None:
        """Let others have their turn when ours is over, and a slow client catch up.

        Raises `ConnectionLost` if it is gone.
        """
        self.flush()
        if self._clock() - self._began > TURN.total_seconds():
            await asyncio.sleep(0)
            self._began = self._clock()
        if not self._writable.is_open:
            await self._writable.wait()
            self._began = self._clock()
        if self.is_lost:
            raise ConnectionLost

    def pause(self) -> None:
        """The client is slow."""
        self._writable.close()

    def resume(self) -> None:
        """It caught up."""
        self._writable.open()

    def lose(self) -> None:
        """It is gone."""
        self.is_lost = True
        self._writable.open()
