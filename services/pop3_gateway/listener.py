"""The listeners: sessions come in here, are counted, and are ended when the service stops."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from pop3_gateway import replies
from pop3_gateway.connection import Connection
from pop3_gateway.conversation import converse
from pop3_gateway.house import House
from pop3_gateway.session import Session
from posthouse.runtime.doors import Door, open_door
from posthouse.runtime.doorstep import Manners
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter, gauge

log = get_logger()
_open = gauge("posthouse_pop3_sessions", "Sessions now.")
_sessions = counter(
    "posthouse_pop3_connections_total", "Connections, by whether they were let in.", "let_in"
)
FULL = "Too many connections", "full"
FULL_OF_CLIENT = "Too many connections from your network", "client"
TOO_OFTEN = "Too many connections in a short time, try again later", "rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where clients come in.

    Attributes:
        host: The address to listen on.
        port: The port; 0 in tests: any that is free.
        manners: What happens before a session; with a context it is implicit TLS (RFC 8314 §3.2).
    """

    host: str
    port: int
    manners: Manners = field(default_factory=Manners)


@dataclass(slots=True)
class Listener:
    """All sessions of this process.

    Attributes:
        house: What they share.
        addresses: Where it listens, in the order of the places.
    """

    house: House
    addresses: list[tuple[str, int]] = field(default_factory=list)
    _sessions: dict[asyncio.Task[None], Session] = field(default_factory=dict)
    _names: dict[asyncio.Task[None], str] = field(default_factory=dict)  # of their clients
    _clients: Counter[str] = field(default_factory=Counter)
    _doors: list[Door] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many sessions there are now."""
        return len(self._sessions)

    @asynccontextmanager
    async def listening(self, places: list[Place], grace: timedelta) -> AsyncIterator[None]:
        """Take clients in; afterwards let those that are in finish within ``grace``."""
        try:
            for place in places:
                door = await open_door(
                    lambda client: Connection(self._welcome, client),
                    place.host,
                    place.port,
                    place.manners,
                )
                self._doors.append(door)
                self.addresses.append((place.host, door.number))
                is_secure = place.manners.context is not None
                log.info("listening", host=place.host, port=door.number, tls=is_secure)
            yield
        finally:
            await self._stop(grace)

    def _welcome(self, connection: Connection) -> None:
        client = self.house.turnstile.name(connection.peer)
        if objection := self._objection(connection.peer, client):
            text, why = objection
            _sessions.labels(why).inc()
            connection.write(replies.err(text, "SYS/TEMP"))
            connection.close()
            return
        _sessions.labels("yes").inc()
        session = Session(self.house, connection)
        task = asyncio.get_running_loop().create_task(converse(session))
        self._sessions[task], self._names[task] = session, client
        self._clients[client] += 1
        _open.set(self.count)
        task.add_done_callback(self._gone)

    def _objection(self, peer: str, client: str) -> tuple[str, str] | None:
        """Return what a newcomer is told who is sent away, and the word for it in metrics."""
        limits = self.house.limits
        if self.count >= limits.connections:
            return FULL
        if client and self._clients[client] >= limits.connections_per_client:
            return FULL_OF_CLIENT
        return None if self.house.turnstile.lets_in(peer) else TOO_OFTEN

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._sessions.pop(task)
        client = self._names.pop(task)
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]
        _open.set(self.count)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("session died", error=repr(error))

    async def _stop(self, grace: timedelta) -> None:
        for door in self._doors:
            await door.close()
        for session in self._sessions.values():
            session.stop()
        if self._sessions:
            await asyncio.wait(self._sessions, timeout=grace.total_seconds())
        left = list(self._sessions)
        for task in left:
            self._sessions[task].connection.abort()
            task.cancel()
        if left:
            log.warning("sessions cut off", count=len(left))
            await asyncio.wait(left)
