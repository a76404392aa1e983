"""The ports: opened at start, drained at the end, with a register of all sessions."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Self

from ingress_smtp import replies
from ingress_smtp.conversation import House
from ingress_smtp.listener import Connection, Patience
from ingress_smtp.transaction import Terms
from posthouse.credentials.failures import network_of
from posthouse.runtime.doorstep import ROOM, Doorstep, Room
from posthouse.telemetry.logs import get_logger

BACKLOG = 512
LAST_MOMENT = timedelta(seconds=1)  # for sessions that were cut off to find it out

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One listener.

    Attributes:
        number: TCP port; 0 lets the system choose.
        terms: What its sessions offer.
        implicit_tls: TLS begins with the connection (RFC 8314 §3).
    """

    number: int
    terms: Terms
    implicit_tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is taken at once.

    Attributes:
        sessions: Open at once in this process.
        sessions_per_client: Of these, from one client (an IPv6 /64).
        patience: See `Listeners`.
        handshakes: Before a session on the port for implicit TLS.
    """

    sessions: int
    sessions_per_client: int
    patience: Patience
    handshakes: Room = ROOM


class Listeners:
    """All ports of the service, and the sessions on them: ``async with Listeners(...)``.

    Attributes:
        house: The parts that all sessions share.
        certificate: For STARTTLS and implicit TLS; None offers neither.
        patience: How long a client may keep us waiting.
        numbers: The ports that were opened, in the order of those asked for.
    """

    def __init__(
        self,
        house: House,
        *,
        host: str,
        ports: tuple[Port, ...],
        certificate: ssl.SSLContext | None,
        limits: Limits,
    ) -> None:
        self.house = house
        self.certificate = certificate
        self.patience = limits.patience
        self.numbers: list[int] = []
        self._host = host
        self._ports = ports
        self._limits = limits
        self._sessions: set[Connection] = set()
        self._per_client: Counter[str] = Counter()
        self._servers: list[asyncio.Server] = []
        self._doorsteps: list[Doorstep] = []
        self._empty = asyncio.Event()

    async def __aenter__(self) -> Self:
        for port in self._ports:
            await self._open(port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.drain(timedelta())

    async def _open(self, port: Port) -> None:
        welcome: Callable[[], asyncio.Protocol] = partial(Connection, self, port.terms)
        if port.implicit_tls and self.certificate is not None:
            doorstep = Doorstep(self.certificate, welcome, self._limits.handshakes)
            self._doorsteps.append(doorstep)
            welcome = doorstep.newcomer
        loop = asyncio.get_running_loop()
        server = await loop.create_server(welcome, self._host, port.number, backlog=BACKLOG)
        self._servers.append(server)
        self.numbers.append(server.sockets[0].getsockname()[1])
        log.info("listener opened", host=self._host, port=self.numbers[-1], role=port.terms.role)

    def enter(self, connection: Connection) -> bool:
        """Take ``connection`` in; False if there are too many."""
        if len(self._sessions) >= self._limits.sessions or not self._servers:
            return False
        client = network_of(connection.client)
        if self._per_client[client] >= self._limits.sessions_per_client:
            return False
        self._per_client[client] += 1
        self._sessions.add(connection)
        return True

    def leave(self, connection: Connection) -> None:
        """Let ``connection`` go."""
        self._sessions.discard(connection)
        client = network_of(connection.client)
        self._per_client[client] -= 1
        if not self._per_client[client]:
            del self._per_client[client]
        if not self._sessions:
            self._empty.set()

    async def drain(self, grace: timedelta) -> None:
        """Take no new session, end the idle ones, let the others finish for ``grace``."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for doorstep in self._doorsteps:
            await doorstep.close()
        for connection in tuple(self._sessions):
            session = connection.conversation
            if session is None or session.is_idle:
                connection.dismiss(replies.SHUTTING_DOWN)
            else:
                session.finish()
        await self._until_empty(grace)
        for connection in tuple(self._sessions):
            log.warning("session cut off", client=connection.client)
            connection.dismiss(replies.SHUTTING_DOWN)
            connection.abort()
        await self._until_empty(LAST_MOMENT)

    async def _until_empty(self, grace: timedelta) -> None:
        self._empty.clear()
        if not self._sessions:
            return
        try:
            async with asyncio.timeout(grace.total_seconds()):
                await self._empty.wait()
        except TimeoutError:
            log.warning("grace is over", sessions=len(self._sessions))
