"""Kept-open streams: the asking side of one address each, with the questions that wait on it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import cast

from posthouse.bus.frames import ANSWER, MAX_NUMBER, QUESTION, BadFrame, Frame, Unpacker, pack
from posthouse.telemetry.logs import get_logger

CONNECT_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0
MAX_UNSENT_OCTETS = 4_194_304  # per connection; one with more is not asked

Address = tuple[str, int]

log = get_logger()


class Stream:
    """The kept-open connection to one address, with the questions that wait on it."""

    def __init__(
        self, address: Address, changed: Callable[[], None], tasks: asyncio.TaskGroup
    ) -> None:
        self._address = address
        self._changed = changed
        self._wire: _Wire | None = None
        self._keeper = tasks.create_task(self._keep(), name=f"ask {address}")

    @property
    def is_up(self) -> bool:
        """True if it is connected."""
        return self._wire is not None

    @property
    def has_room(self) -> bool:
        """True if it can take a question now."""
        return self._wire is not None and self._wire.has_room

    async def ask(self, payload: bytes) -> bytes:
        """Return the payload of the answer.

        Raises:
            ConnectionAbortedError: If the connection was lost before the answer came.
            ConnectionRefusedError: If the other side could not answer.
        """
        if self._wire is None:
            raise ConnectionAbortedError("not connected")
        return await self._wire.ask(payload)

    def stop(self) -> None:
        """Hang up."""
        self._keeper.cancel()

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    _, wire = await loop.create_connection(
                        lambda: _Wire(self._changed), *self._address
                    )
            except OSError as error:  # TimeoutError is one
                log.debug("nobody answers there", address=self._address, error=str(error))
            else:
                pause = FIRST_PAUSE_SECONDS
                self._wire = wire
                self._changed()
                try:
                    await wire.lost.wait()
                finally:
                    self._wire = None
                    wire.hang_up()
                    self._changed()
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


class _Wire(asyncio.Protocol):
    """One connection."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.lost = asyncio.Event()
        self._changed = changed
        self._is_full = False
        self._unpacker = Unpacker()
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._number = 0
        self._answers = 0
        self._transport: asyncio.Transport | None = None

    @property
    def has_room(self) -> bool:
        """True if it lives and what is unsent is not too much."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and not self._is_full

    async def ask(self, payload: bytes) -> bytes:
        """See `Stream.ask`."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionAbortedError("connection lost")
        self._number = number = self._number % MAX_NUMBER + 1
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        answers = self._answers
        self._transport.write(pack(Frame(number, QUESTION, payload)))
        try:
            return await future
        except asyncio.CancelledError:
            if answers == self._answers:
                self.hang_up()  # it has answered nobody since: others must not wait for it
            raise
        finally:
            self._waiting.pop(number, None)

    def hang_up(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop has a class of its own
        self._transport.set_write_buffer_limits(high=MAX_UNSENT_OCTETS)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell all who wait."""
        self._transport = None
        self.lost.set()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionAbortedError("connection lost"))

    def pause_writing(self) -> None:
        """Too much is unsent."""
        self._is_full = True

    def resume_writing(self) -> None:
        """It can be asked again."""
        self._is_full = False
        self._changed()

    def data_received(self, data: bytes) -> None:
        """Answers, or parts of them."""
        try:
            frames = self._unpacker.feed(data)
        except BadFrame as error:
            log.warning("answer unreadable", error=str(error))
            self.hang_up()
            return
        for frame in frames:
            self._answers += 1
            future = self._waiting.get(frame.number)
            if future is None or future.done():
                continue  # it came too late
            if frame.kind == ANSWER:
                future.set_result(frame.payload)
            else:
                future.set_exception(ConnectionRefusedError("the other side could not answer"))
