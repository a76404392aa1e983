"""Connections to an LDAP server, and a bounded pool of them (RFC 4511)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Literal, TypeAlias, TypeVar

from posthouse.credentials.ldap import messages
from posthouse.credentials.ldap.ber import SEQUENCE, BadOctets, length_follows
from posthouse.credentials.ldap.messages import Answer, Entry, Reference, Result
from posthouse.telemetry.probes import Clock

MAX_MESSAGE_OCTETS = 262_144
CONNECT = timedelta(seconds=2)  # to one server, TLS included; then the next one is tried
KEEP = timedelta(minutes=1)  # an idle connection
SUCCESS, SIZE_LIMIT_EXCEEDED = 0, 4  # RFC 4511 Appendix A.1

T = TypeVar("T")
Protection: TypeAlias = Literal["tls", "starttls", "none"]


class Lost(Exception):
    """The connection is of no use any more, or there is none to be had."""


class Rejected(Exception):
    """The server does not do what we ask for.

    Attributes:
        result: Why.
    """

    def __init__(self, result: Result) -> None:
        super().__init__(f"result {result.code}: {result.text}")
        self.result = result


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where a server is.

    Attributes:
        host: Its name, which its certificate must have.
        port: Its port.
        protection: TLS from the first octet, StartTLS, or nothing.
    """

    host: str
    port: int
    protection: Protection


class Connection:
    """One connection: a request is answered before the next one is sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = count(1)

    @classmethod
    async def open(cls, server: Server, trust: ssl.SSLContext) -> Connection:
        """Connect, over TLS if that is wanted; raise `Lost`."""
        context = trust if server.protection == "tls" else None
        try:
            async with asyncio.timeout(CONNECT.total_seconds()):
                streams = await asyncio.open_connection(server.host, server.port, ssl=context)
                connection = cls(*streams)
                if server.protection == "starttls":
                    await connection._start_tls(server.host, trust)
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            why = str(error) or type(error).__name__
            raise Lost(f"{server.host}:{server.port}: {why}") from error
        return connection

    async def _start_tls(self, host: str, trust: ssl.SSLContext) -> None:
        """Go over to TLS (RFC 4511 §4.14); there is no way back to plain text."""
        try:
            result = await self._only(messages.start_tls(next(self._numbers)))
            if result.code != SUCCESS:
                raise Lost(f"{host}: StartTLS refused: {result.text}")
            await self._writer.start_tls(trust, server_hostname=host)
        except BaseException:
            self.abort()
            raise

    async def bind(self, name: str, password: str) -> Result:
        """Prove to be ``name`` (§4.2) and return what the server says; raise `Lost`."""
        return await self._only(messages.bind(next(self._numbers), name, password))

    async def search(
        self, base: str, filter_: bytes, attributes: Sequence[str]
    ) -> tuple[Entry, ...]:
        """Return what is found below ``base``: none, one, or two for many.

        Raises `Lost`, and `Rejected` if the server does not search.
        """
        number = next(self._numbers)
        answers = await self._ask(messages.search(number, base, filter_, attributes))
        found = tuple(answer for answer in answers if isinstance(answer, Entry))
        done = answers[-1]
        if isinstance(done, Result) and done.code not in {SUCCESS, SIZE_LIMIT_EXCEEDED}:
            raise Rejected(done)
        return found

    async def _only(self, request: bytes) -> Result:
        """Return the answer of a request that has but one."""
        answer = (await self._ask(request))[-1]
        if not isinstance(answer, Result):
            raise Lost("an answer of another kind")
        return answer

    async def _ask(self, request: bytes) -> list[Answer]:
        """Send a request and return its answers, of which the last is its result."""
        answers: list[Answer] = []
        try:
            self._writer.write(request)
            await self._writer.drain()
            while not answers or not isinstance(answers[-1], Result):
                answer = await self._answer()
                if len(answers) > messages.MAX_ENTRIES:
                    raise Lost("more entries than were asked for")
                if not isinstance(answer, Reference):
                    answers.append(answer)
        except (OSError, EOFError, BadOctets) as error:
            raise Lost(str(error) or type(error).__name__) from error
        return answers

    async def _answer(self) -> Answer:
        """Read one message; requests follow each other, so its number need not be looked at."""
        tag, first = await self._reader.readexactly(2)
        following = length_follows(first)
        size = int.from_bytes(await self._reader.readexactly(following)) if following else first
        if tag != SEQUENCE or size > MAX_MESSAGE_OCTETS:
            raise BadOctets("not an LDAP message, or a very large one")
        number, answer = messages.read(await self._reader.readexactly(size))
        if number == 0 and isinstance(answer, Result):
            raise Lost(f"the server hangs up: {answer.text}")  # §4.4.1
        return answer

    def close(self) -> None:
        """Say goodbye and hang up."""
        self._writer.write(messages.unbind(next(self._numbers)))
        self._writer.close()

    def abort(self) -> None:
        """Hang up at once: what is under way is of no interest any more."""
        self._writer.transport.abort()


Open: TypeAlias = Callable[[], Awaitable[Connection]]


class Pool:
    """Connections that are kept for the next who asks, the one used last first.

    Args:
        open_: Makes one; raises `Lost`.
        size: So many at once; who comes later waits.
        clock: Seconds that only go forward.
    """

    def __init__(self, open_: Open, size: int, clock: Clock) -> None:
        self._open = open_
        self._room = asyncio.Semaphore(size)
        self._clock = clock
        self._idle: list[tuple[float, Connection]] = []

    async def ask(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        """Put ``question`` to a connection and return the answer.

        A kept connection that the server has closed meanwhile is replaced, and so is one that was
        kept for long: a firewall may have forgotten it, and would swallow what we ask. Raises
        `Lost` if a new one is lost, too, and what ``question`` does.
        """
        async with self._room:
            while self._idle:
                since, kept = self._idle.pop()
                if self._clock() - since > KEEP.total_seconds():
                    kept.close()
                    continue
                try:
                    return await self._put(question, kept)
                except Lost:
                    continue
            return await self._put(question, await self._open())

    async def _put(self, question: Callable[[Connection], Awaitable[T]], to: Connection) -> T:
        try:
            answer = await question(to)
        except Rejected:
            self._idle.append((self._clock(), to))
            raise
        except BaseException:  # also given up in the midst of an answer
            to.abort()
            raise
        self._idle.append((self._clock(), to))
        return answer

    def close(self) -> None:
        """Hang up; nobody asks any more."""
        while self._idle:
            self._idle.pop()[1].close()


class Servers:
    """Several servers of the same content: the one that answered last is asked first."""

    def __init__(self, servers: Sequence[Server], trust: ssl.SSLContext) -> None:
        self._servers = list(servers)
        self._trust = trust

    async def open(self) -> Connection:
        """Connect to one of them; raise `Lost` if none answers."""
        reasons = []
        for server in tuple(self._servers):
            try:
                connection = await Connection.open(server, self._trust)
            except Lost as lost:
                reasons.append(str(lost))
                continue
            self._servers.remove(server)
            self._servers.insert(0, server)
            return connection
        raise Lost("; ".join(reasons))
