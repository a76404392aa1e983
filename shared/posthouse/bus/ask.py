"""Asking: questions that an SMTP client waits for, over kept-open streams with thin framing.

They are no envelopes and do not travel on the roads: an answer that comes too late is worthless.
An `Asker` keeps one connection to every address behind its endpoints (a DNS name of many pods is
many addresses), asks them in turn, and asks another when one goes away. Questions may be asked
twice, so answering must not depend on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

import msgspec

from posthouse.bus.answering import serve_questions
from posthouse.bus.frames import ANSWER, MAX_NUMBER, QUESTION, BadFrame, Frame, Unpacker, pack
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter, histogram

__all__ = ["Asker", "serve_questions"]

DEADLINE = timedelta(seconds=5)
CONNECT_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0
RESOLVE_SECONDS = 15.0  # how often names are looked up again: pods come and go
MAX_OPEN = 4096  # questions that wait for answers, in this process
MAX_UNSENT_OCTETS = 4_194_304  # per connection; one with more is not asked

Address = tuple[str, int]
A = TypeVar("A")

log = get_logger()
_asked = counter("posthouse_bus_questions_total", "Questions asked, by what became of them.", "end")
_latency = histogram("posthouse_bus_question_seconds", "From question to answer.")


class Asker(Generic[A]):
    """Asks whoever answers; an asynchronous context manager."""

    def __init__(self, endpoints: Sequence[str], deadline: timedelta, answer_type: type[A]) -> None:
        """Prepare to ask ``endpoints`` (``host:port``, ``[address]:port``).

        Args:
            endpoints: A name stands for all its addresses.
            deadline: For each question, retries included.
            answer_type: The struct, or union of structs, that is answered.
        """
        self._endpoints = tuple(parse_endpoint(endpoint) for endpoint in endpoints)
        self._deadline = deadline.total_seconds()
        self._decoder = msgspec.msgpack.Decoder(answer_type)
        self._encoder = msgspec.msgpack.Encoder()
        self._streams: dict[Address, _Stream] = {}
        self._usable: list[_Stream] = []
        self._turn = 0
        self._open = 0
        self._change = asyncio.Event()
        self._look_again = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._keeper = asyncio.create_task(self._keep(), name="asker")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await asyncio.gather(*(stream.stop() for stream in self._streams.values()))

    def trouble(self) -> str | None:
        """Return why nobody can be asked at the moment, None if somebody can."""
        return None if self._usable else "nobody answers questions"

    async def ask(self, question: object) -> A:
        """Return the answer to ``question``, a struct.

        Raises:
            Unavailable: If nobody has answered before the deadline, or the one who did could not.
        """
        if self._open >= MAX_OPEN:
            _asked.labels("refused").inc()
            raise Unavailable("nobody answers", detail="too many open questions")
        payload = self._encoder.encode(question)
        self._open += 1
        begun = asyncio.get_running_loop().time()
        end = "late"
        try:
            async with asyncio.timeout(self._deadline):
                answer = self._decoder.decode(await self._ask(payload))
            end = "answered"
            return answer
        except TimeoutError as error:
            raise Unavailable("nobody answers", detail="no answer before the deadline") from error
        except (BadFrame, msgspec.DecodeError, ConnectionError) as error:
            end = "failed"
            raise Unavailable("nobody answers", detail=repr(error)) from error
        finally:
            self._open -= 1
            _asked.labels(end).inc()
            _latency.observe(asyncio.get_running_loop().time() - begun)

    async def _ask(self, payload: bytes) -> bytes:
        """Ask one after the other until one has answered; the caller sets the deadline."""
        while True:
            stream = await self._next()
            with contextlib.suppress(ConnectionAbortedError):  # it went away: ask another
                return await stream.ask(payload)

    async def _next(self) -> _Stream:
        while True:
            for _ in self._usable:
                self._turn += 1
                stream = self._usable[self._turn % len(self._usable)]
                if stream.has_room:
                    return stream
            self._change.clear()
            await self._change.wait()

    async def _keep(self) -> None:
        """Keep a stream to every address; look the names up again now and then."""
        while True:
            self._look_again.clear()
            wanted = await self._resolve()
            for address in wanted - self._streams.keys():
                self._streams[address] = _Stream(address, self._changed)
            # Addresses that are gone from DNS are dropped once nobody listens there.
            for address in self._streams.keys() - wanted:
                if wanted and not self._streams[address].is_up:
                    await self._streams.pop(address).stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESOLVE_SECONDS if wanted else LONGEST_PAUSE_SECONDS):
                    await self._look_again.wait()
                    await asyncio.sleep(FIRST_PAUSE_SECONDS)  # many losses, one look

    async def _resolve(self) -> set[Address]:
        loop = asyncio.get_running_loop()
        found: set[Address] = set()
        for host, port in self._endpoints:
            try:
                answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except OSError as error:
                log.warning("endpoint not resolved", host=host, error=str(error))
                continue
            found.update((str(answer[4][0]), port) for answer in answers)
        return found

    def _changed(self) -> None:
        before = len(self._usable)
        self._usable = [stream for stream in self._streams.values() if stream.is_up]
        self._change.set()
        if len(self._usable) < before:
            self._look_again.set()


class _Stream:
    """The kept-open connection to one address, with the questions that wait on it."""

    def __init__(self, address: Address, changed: Callable[[], None]) -> None:
        self._address = address
        self._changed = changed
        self._wire: _Wire | None = None
        self._keeper = asyncio.create_task(self._keep(), name=f"ask {address}")

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

    async def stop(self) -> None:
        """Hang up."""
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    _, wire = await loop.create_connection(_Wire, *self._address)
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

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self._unpacker = Unpacker()
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._number = 0
        self._answers = 0
        self._transport: asyncio.Transport | None = None

    @property
    def has_room(self) -> bool:
        """True if what is unsent is not too much."""
        return (
            self._transport is not None
            and self._transport.get_write_buffer_size() < MAX_UNSENT_OCTETS
        )

    async def ask(self, payload: bytes) -> bytes:
        """See `_Stream.ask`."""
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

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell all who wait."""
        self._transport = None
        self.lost.set()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionAbortedError("connection lost"))

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


def parse_endpoint(text: str) -> Address:
    """Return host and port of ``host:port`` or ``[address]:port``.

    Raises:
        ValueError: If it is neither.
    """
    host, colon, port = text.strip().rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise ValueError(f"not host:port: {text}")
    return host.removeprefix("[").removesuffix("]"), int(port)
