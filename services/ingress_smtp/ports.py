"""The ports: opened at start, drained at the end, with a register of all sessions."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import TracebackType
from typing import Self

from ingress_smtp import replies
from ingress_smtp.conversation import House
from ingress_smtp.listener import Connection, Patience
from ingress_smtp.terms import Terms
from posthouse.runtime.doors import Door, open_door
from posthouse.runtime.doorstep import Manners
from posthouse.telemetry.logs import get_logger

LAST_MOMENT = timedelta(seconds=1)  # for sessions that were cut off to find it out

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One listener.

    Attributes:
        host: Where it listens.
        number: TCP port; 0 lets the system choose.
        terms: What its sessions offer.
        certificate: For STARTTLS or implicit TLS; None offers neither.
        implicit_tls: TLS begins with the connection (RFC 8314 §3).
    """

    host: str
    number: int
    terms: Terms
    certificate: ssl.SSLContext | None = None
    implicit_tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is taken at once.

    Attributes:
        sessions: Open at once in this process.
        sessions_per_client: Of these, from one client.
        patience: See `Listeners`.
        manners: What happens before a session; and who is one client.
    """

    sessions: int
    sessions_per_client: int
    patience: Patience
    manners: Manners = field(default_factory=Manners)


class Listeners:
    """All ports of the service, and the sessions on them: ``async with Listeners(...)``.

    Attributes:
        house: The parts that all sessions share.
        patience: How long a client may keep us waiting.
        numbers: The ports that were opened, in the order of those asked for.
    """

    def __init__(self, house: House, *, ports: tuple[Port, ...], limits: Limits) -> None:
        self.house = house
        self.patience = limits.patience
        self.numbers: list[int] = []
        self._ports = ports
        self._limits = limits
        self._sessions: dict[Connection, str] = {}  # and whose they are
        self._per_client: Counter[str] = Counter()
        self._doors: list[Door] = []
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
        context = port.certificate if port.implicit_tls else None
        door = await open_door(
            lambda client: Connection(self, port.terms, port.certificate, client),
            port.host,
            port.number,
            replace(self._limits.manners, context=context),
        )
        self._doors.append(door)
        self.numbers.append(door.number)
        log.info("listener opened", host=port.host, port=door.number, role=port.terms.role)

    def enter(self, connection: Connection) -> bool:
        """Take ``connection`` in; False if there are too many."""
        if len(self._sessions) >= self._limits.sessions or not self._doors:
            return False
        return self._count(connection)

    def move(self, connection: Connection) -> bool:
        """Count ``connection`` as its client's; False if there are too many of that one."""
        self._uncount(self._sessions[connection])
        if self._count(connection):
            return True
        self._per_client[self._sessions[connection]] += 1
        return False

    def leave(self, connection: Connection) -> None:
        """Let ``connection`` go."""
        self._uncount(self._sessions.pop(connection))
        if not self._sessions:
            self._empty.set()

    def _count(self, connection: Connection) -> bool:
        client = self._limits.manners.breadth.network_of(connection.client)
        if self._per_client[client] >= self._limits.sessions_per_client:
            return False
        self._per_client[client] += 1
        self._sessions[connection] = client
        return True

    def _uncount(self, client: str) -> None:
        self._per_client[client] -= 1
        if not self._per_client[client]:
            del self._per_client[client]

    async def drain(self, grace: timedelta) -> None:
        """Take no new session, end the idle ones, let the others finish for ``grace``."""
        doors, self._doors = self._doors, []
        for door in doors:
            await door.close()
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
