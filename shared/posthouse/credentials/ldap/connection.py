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
    """One connection: a request is answered before the next one is sent.

    Attributes:
        server: Where it leads.
    """

    def __init__(
        self, server: Server, reader: asyncio.StreamReader, transport: asyncio.Transport
    ) -> None:
        self.server = server
        self._reader = reader
        self._transport = transport  # takes a request at a time: nothing piles up
        self._numbers = count(1)

    @classmethod
    async def open(cls, server: Server, trust: ssl.SSLContext) -> Connection:
        """Connect, over TLS if that is wanted; raise `Lost`."""
        context = trust if server.protection == "tls" else None
        reader = asyncio.StreamReader()
        try:
            async with asyncio.timeout(CONNECT.total_seconds()):
                transport, _ = await asyncio.get_running_loop().create_connection(
                    lambda: asyncio.StreamReaderProtocol(reader),
                    server.host,
                    server.port,
                    ssl=context,
                )
                connection = cls(server, reader, transport)
                if server.protection == "starttls":
                    await connection._start_tls(trust)
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            why = str(error) or type(error).__name__
            raise Lost(f"{server.host}:{server.port}: {why}") from error
        return connection

    async def _start_tls(self, trust: ssl.SSLContext) -> None:
        """Go over to TLS (RFC 4511 §4.14); there is no way back to plain text."""
        number = next(self._numbers)
        try:
            result = await self._only(number, messages.start_tls(number))
            if result.code != SUCCESS:
                raise Lost(f"{self.server.host}: StartTLS refused: {result.text}")
            plain, self._reader = self._reader, asyncio.StreamReader()
            await self._over_tls(trust)
            plain.feed_eof()
            if await plain.read():  # somebody in between wants it to be read as if under TLS
                raise Lost(f"{self.server.host}: more than an answer to StartTLS")
        except BaseException:
            self.abort()
            raise

    async def _over_tls(self, trust: ssl.SSLContext) -> None:
        """Shake hands; what comes under TLS goes into a reader that has seen nothing else."""
        protocol = asyncio.StreamReaderProtocol(self._reader)
        transport = await asyncio.get_running_loop().start_tls(
            self._transport, protocol, trust, server_hostname=self.server.host
        )
        if transport is None:
            raise Lost(f"{self.server.host}: gone while shaking hands")
        protocol.connection_made(transport)
        self._transport = transport

    async def bind(self, name: str, password: str) -> Result:
        """Prove to be ``name`` (§4.2) and return what the server says; raise `Lost`."""
        number = next(self._numbers)
        return await self._only(number, messages.bind(number, name, password))

    async def search(
        self, base: str, filter_: bytes, attributes: Sequence[str]
    ) -> tuple[Entry, ...]:
        """Return what is found below ``base``: none, one, or two for many.

        Raises `Lost`, and `Rejected` if the server does not search.
        """
        number = next(self._numbers)
        answers = await self._ask(number, messages.search(number, base, filter_, attributes))
        found = tuple(answer for answer in answers if isinstance(answer, Entry))
        done = answers[-1]
        if isinstance(done, Result) and done.code not in {SUCCESS, SIZE_LIMIT_EXCEEDED}:
            raise Rejected(done)
        return found

    async def _only(self, number: int, request: bytes) -> Result:
        """Return the answer of a request that has but one."""
        answer = (await self._ask(number, request))[-1]
        if not isinstance(answer, Result):
            raise Lost("an answer of another kind")
        return answer

    async def _ask(self, number: int, request: bytes) -> list[Answer]:
        """Send a request and return its answers, of which the last is its result."""
        answers: list[Answer] = []
        try:
            self._transport.write(request)
            while not answers or not isinstance(answers[-1], Result):
                answer = await self._answer(number)
                if len(answers) > messages.MAX_ENTRIES:
                    raise Lost("more entries than were asked for")
                if not isinstance(answer, Reference):
                    answers.append(answer)
        except (OSError, EOFError, BadOctets) as error:
            raise Lost(str(error) or type(error).__name__) from error
        return answers

    async def _answer(self, expected: int) -> Answer:
        """Read one message, which must answer the request of this number."""
        tag, first = await self._reader.readexactly(2)
        following = length_follows(first)
        size = int.from_bytes(await self._reader.readexactly(following)) if following else first
        if tag != SEQUENCE or size > MAX_MESSAGE_OCTETS:
            raise BadOctets("not an LDAP message, or a very large one")
        number, answer = messages.read(await self._reader.readexactly(size))
        if number == 0 and isinstance(answer, Result):
            raise Lost(f"the server hangs up: {answer.text}")  # §4.4.1
        if number != expected:
            raise BadOctets("an answer to another request")
        return answer

    def close(self) -> None:
        """Say goodbye and hang up."""
        self._transport.write(messages.unbind(next(self._numbers)))
        self._transport.close()

    def abort(self) -> None:
        """Hang up at once: what is under way is of no interest any more."""
        self._transport.abort()


Open: TypeAlias = Callable[[], Awaitable[Connection]]
Blame: TypeAlias = Callable[[Connection], object]


class Pool:
    """Connections that are kept for the next who asks, the one used last first.

    Args:
        open_: Makes one; raises `Lost`.
        size: So many at once; who comes later waits.
        clock: Seconds that only go forward.
        blame: Is told of a connection on which there was no answer.
    """

    def __init__(self, open_: Open, size: int, clock: Clock, blame: Blame) -> None:
        self._open = open_
        self._blame = blame
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
            self._blame(to)
            raise
        self._idle.append((self._clock(), to))
        return answer

    def close(self) -> None:
        """Hang up; nobody asks any more."""
        while self._idle:
            self._idle.pop()[1].close()


class Servers:
    """Several servers of the same content: one that is away or silent is asked last."""

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
                self._put_last(server)
                continue
            return connection
        raise Lost("; ".join(reasons))

    def blame(self, connection: Connection) -> None:
        """Ask the server of ``connection`` last from now on."""
        self._put_last(connection.server)

    def _put_last(self, server: Server) -> None:
        self._servers.remove(server)
        self._servers.append(server)
