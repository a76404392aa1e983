"""Asking: questions that an SMTP client waits for, over kept-open streams with thin framing.

They are no envelopes and do not travel on the roads: an answer that comes too late is worthless.
An `Asker` keeps one connection to every address behind its endpoints (a DNS name of many pods is
many addresses), asks them in turn, and asks another when one goes away. Questions may be asked
twice, so answering must not depend on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Generic, Self, TypeVar

import msgspec

from posthouse.bus.answering import serve_questions
from posthouse.bus.frames import BadFrame
from posthouse.bus.streams import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Address, Stream
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter, histogram

__all__ = ["Asker", "serve_questions"]

DEADLINE = timedelta(seconds=5)
RESOLVE_SECONDS = 15.0  # how often names are looked up again: pods come and go
MAX_OPEN = 4096  # questions that wait for answers, in this process

Lookup = Callable[[str, int], Awaitable[Sequence[Address]]]
A = TypeVar("A")

log = get_logger()
_asked = counter("posthouse_bus_questions_total", "Questions asked, by what became of them.", "end")
_latency = histogram("posthouse_bus_question_seconds", "From question to answer.")


class Asker(Generic[A]):
    """Asks whoever answers; an asynchronous context manager."""

    def __init__(
        self,
        endpoints: Sequence[str],
        deadline: timedelta,
        answer_type: type[A],
        lookup: Lookup | None = None,
    ) -> None:
        """Prepare to ask ``endpoints`` (``host:port``, ``[address]:port``).

        Args:
            endpoints: A name stands for all its addresses.
            deadline: For each question, retries included.
            answer_type: The struct, or union of structs, that is answered.
            lookup: Finds the addresses of a name; the system's resolver if None.
        """
        self._lookup = lookup or addresses_of
        self._endpoints = tuple(parse_endpoint(endpoint) for endpoint in endpoints)
        self._deadline = deadline.total_seconds()
        self._decoder = msgspec.msgpack.Decoder(answer_type)
        self._encoder = msgspec.msgpack.Encoder()
        self._streams: dict[Address, Stream] = {}
        self._usable: list[Stream] = []
        self._turn = 0
        self._open = 0
        self._change = asyncio.Event()
        self._look_again = asyncio.Event()
        self._tasks = asyncio.TaskGroup()  # a bug in what keeps the streams must not hide
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._keeper = self._tasks.create_task(self._keep(), name="asker")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        for stream in self._streams.values():
            stream.stop()
        await self._tasks.__aexit__(kind, error, trace)

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

    async def _next(self) -> Stream:
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
                self._streams[address] = Stream(address, self._changed, self._tasks)
            # Addresses that are gone from DNS are dropped once nobody listens there.
            for address in self._streams.keys() - wanted:
                if wanted and not self._streams[address].is_up:
                    self._streams.pop(address).stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESOLVE_SECONDS if wanted else LONGEST_PAUSE_SECONDS):
                    await self._look_again.wait()
                    await asyncio.sleep(FIRST_PAUSE_SECONDS)  # many losses, one look

    async def _resolve(self) -> set[Address]:
        found: set[Address] = set()
        for host, port in self._endpoints:
            try:
                found.update(await self._lookup(host, port))
            except OSError as error:
                log.warning("endpoint not resolved", host=host, error=str(error))
        return found

    def _changed(self) -> None:
        before = len(self._usable)
        self._usable = [stream for stream in self._streams.values() if stream.is_up]
        self._change.set()
        if len(self._usable) < before:
            self._look_again.set()


async def addresses_of(host: str, port: int) -> Sequence[Address]:
    """Return where ``host`` is.

    Raises:
        OSError: If that is not known now.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(str(answer[4][0]), port) for answer in found]


def parse_endpoint(text: str) -> Address:
    """Return host and port of ``host:port`` or ``[address]:port``.

    Raises:
        ValueError: If it is neither.
    """
    host, colon, port = text.strip().rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise ValueError(f"not host:port: {text}")
    return host.removeprefix("[").removesuffix("]"), int(port)
