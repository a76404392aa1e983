"""The way out of a connection: who writes gives way to others now and then, and to a slow client.

What a session writes is gathered, and leaves when the session has nothing more to do, when it is
much, or when `TURN` is over and the others come: a client is woken once for an answer, not once for
each of its lines.
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
GATHERED_OCTETS = 64 * 1024  # that much leaves at once
TURN = timedelta(milliseconds=2)  # how long a session may keep the event loop
_TURN_SECONDS = TURN.total_seconds()


class Outlet:
    """What one connection writes to; it is attached to one transport after the other.

    Attributes:
        is_lost: The client is gone.
    """

    __slots__ = ("_began", "_clock", "_deflater", "_gathered", "_octets", "_transport", "_writable",
                 "is_lost")  # fmt: skip

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._began = 0.0
        self._transport: asyncio.WriteTransport | None = None
        self._deflater: Deflater | None = None
        self._gathered: list[bytes] = []
        self._octets = 0  # gathered
        self.is_lost = False
        self._writable = Latch(is_open=True)

    def attach(self, transport: asyncio.WriteTransport) -> None:
        """Write to this transport from now on."""
        self._transport = transport
        transport.set_write_buffer_limits(high=BUFFER_OCTETS)

    def write(self, octets: bytes) -> None:
        """Send, soon; nothing, if the client is gone or was sent away."""
        if self._deflater is not None and octets:
            octets = self._deflater.add(octets)
        self._gather(octets)

    def flush(self) -> None:
        """See to it that the client can read all that was written."""
        if self._deflater is not None:
            self._gather(self._deflater.flush())
        self._send()

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
            self._gather(self._deflater.finish())
            self._deflater = None

    def _gather(self, octets: bytes) -> None:
        if octets:
            self._gathered.append(octets)
            self._octets += len(octets)
            if self._octets >= GATHERED_OCTETS:
                self._send()

    def _send(self) -> None:
        if not self._gathered:
            return
        if self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(self._gathered)
        self._gathered.clear()
        self._octets = 0

    def begin_turn(self) -> None:
        """The session has the event loop from now on."""
        self._began = self._clock()

    def must_wait(self) -> bool:
        """Say whether `drain` would do anything."""
        is_over = self._clock() - self._began > _TURN_SECONDS
        return is_over or not self._writable.is_open or self.is_lost

    async def drain(self) -> None:
        """Let others have their turn when ours is over, and a slow client catch up.

        Raises `ConnectionLost` if it is gone.
        """
        if self._clock() - self._began > _TURN_SECONDS:
            self.flush()
            await asyncio.sleep(0)
            self._began = self._clock()
        if not self._writable.is_open:
            self.flush()
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
