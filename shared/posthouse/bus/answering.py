"""Answering questions over kept-open streams: the listening side of `posthouse.bus.ask`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar, cast

import msgspec

from posthouse.bus.frames import ANSWER, FAILED, QUESTION, BadFrame, Frame, Unpacker, pack
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter, gauge

MAX_OPEN = 256  # questions in flight per connection; above it we stop reading
MAX_OPEN_OCTETS = 16_777_216  # of these questions; above it, too
MAX_ALL_OCTETS = 67_108_864  # of those of all connections; above it who asks much of it waits
SMALL_OCTETS = 262_144  # who asks less may go on: short questions do not wait for long ones
MAX_CONNECTIONS = 1024
MAX_UNREAD_OCTETS = 16_777_216  # answers the other side does not fetch; above it we hang up

Q = TypeVar("Q")
A = TypeVar("A")

log = get_logger()
_answered = counter("posthouse_bus_questions_answered_total", "Questions answered.")
_failed = counter("posthouse_bus_questions_failed_total", "Questions that raised.")
_refused = counter("posthouse_bus_asking_refused_total", "Askers hung up on: bad or too many.")
_connections = gauge("posthouse_bus_asking_connections", "Connections of askers.")


@dataclass(slots=True)
class _Load:
    """What all askers have asked and is not answered yet.

    Attributes:
        answerers: One for each of them.
        octets: Of their questions.
    """

    answerers: set[_Answerer[Any]] = field(default_factory=set)
    octets: int = 0

    @property
    def is_full(self) -> bool:
        """True if no more large questions should be read."""
        return self.octets >= MAX_ALL_OCTETS

    def add(self, octets: int) -> None:
        """Count a question."""
        self.octets += octets

    def take_off(self, octets: int) -> None:
        """A question was answered; if that makes room, all are read from again."""
        was_full = self.is_full
        self.octets -= octets
        if was_full and not self.is_full:
            for each in self.answerers:
                each.read_on()


@asynccontextmanager
async def serve_questions(
    host: str, port: int, question_type: object, handler: Callable[[Q], Awaitable[object]]
) -> AsyncIterator[asyncio.Server]:
    """Answer questions while inside; then finish what is being answered and hang up.

    Args:
        host: Where to listen.
        port: Where to listen; 0 takes a free port, see the server's ``sockets``.
        question_type: The struct, or union of structs, that is asked: what ``handler`` takes.
        handler: Returns the answer, a struct. What it raises is logged, `Unavailable` in one line, and the
            asker is told that there is no answer.

    Raises:
        OSError: If the port is taken.
    """
    load = _Load()
    decoder: msgspec.msgpack.Decoder[Q] = msgspec.msgpack.Decoder(cast(type[Q], question_type))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Answerer(decoder, handler, load), host, port)
    try:
        yield server
    finally:
        server.close()
        await asyncio.gather(*(answerer.finish() for answerer in tuple(load.answerers)))
        await server.wait_closed()


class _Answerer(asyncio.Protocol, Generic[Q]):
    """One connection of an asker."""

    def __init__(
        self,
        decoder: msgspec.msgpack.Decoder[Q],
        handler: Callable[[Q], Awaitable[object]],
        load: _Load,
    ) -> None:
        self._decoder = decoder
        self._handler = handler
        self._load = load
        self._unpacker = Unpacker()
        self._encoder = msgspec.msgpack.Encoder()
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.Transport | None = None
        self._is_finishing = False
        self._octets = 0

    async def finish(self) -> None:
        """Read no more, answer what was asked, hang up."""
        self._is_finishing = True
        if self._transport is not None:
            self._transport.pause_reading()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))
        if self._transport is not None:  # the asker may have gone meanwhile
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A new asker."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop has a class of its own
        if len(self._load.answerers) >= MAX_CONNECTIONS:
            self._hang_up("too many askers")
            return
        self._load.answerers.add(self)
        _connections.set(len(self._load.answerers))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Nobody waits for these answers any more."""
        for task in self._tasks:
            task.cancel()
        self._load.answerers.discard(self)
        _connections.set(len(self._load.answerers))
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Questions, or parts of them."""
        try:
            for frame in self._unpacker.feed(data):
                self._begin(frame)
        except BadFrame as error:
            self._hang_up(str(error))
            return
        if self._is_full and self._transport is not None:
            self._transport.pause_reading()

    def _begin(self, frame: Frame) -> None:
        if frame.kind != QUESTION:
            raise BadFrame("not a question")
        task = asyncio.get_running_loop().create_task(self._answer(frame))
        self._tasks.add(task)
        self._octets += len(frame.payload)
        self._load.add(len(frame.payload))
        task.add_done_callback(partial(self._ended, len(frame.payload)))

    @property
    def _is_full(self) -> bool:
        is_large = self._load.is_full and self._octets > SMALL_OCTETS
        return is_large or len(self._tasks) >= MAX_OPEN or self._octets >= MAX_OPEN_OCTETS

    def _ended(self, octets: int, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._octets -= octets
        self._load.take_off(octets)
        self.read_on()

    def read_on(self) -> None:
        """Read again, if there is room now."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._is_finishing:
            return
        if not self._is_full:
            transport.resume_reading()

    async def _answer(self, frame: Frame) -> None:
        try:
            answer = await self._handler(self._decoder.decode(frame.payload))
            octets = pack(Frame(frame.number, ANSWER, self._encoder.encode(answer)))
            _answered.inc()
        except Unavailable as outage:
            log.warning("question not answered", reason=str(outage))
            octets = self._failure(frame)
        except Exception:
            log.exception("question failed")
            octets = self._failure(frame)
        if self._transport is None:
            return
        self._transport.write(octets)
        if self._transport.get_write_buffer_size() > MAX_UNREAD_OCTETS:
            self._hang_up("answers are not fetched")

    def _failure(self, frame: Frame) -> bytes:
        _failed.inc()
        return pack(Frame(frame.number, FAILED, b""))

    def _hang_up(self, reason: str) -> None:
        _refused.inc()
        log.warning("asker refused", reason=reason)
        if self._transport is not None:
            self._transport.abort()
