"""The doors of the gateway: who may come in, who has been silent for too long, how all leave."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from imap_gateway.client import Handlers
from imap_gateway.connection import Connection
from imap_gateway.door import Objection
from imap_gateway.house import House
from posthouse.runtime.doors import Door, open_door
from posthouse.runtime.doorstep import Manners
from posthouse.runtime.tls import ServerCertificate
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import gauge

SWEEP = timedelta(seconds=1)  # how exactly timeouts are kept
LAST_WORDS = timedelta(seconds=1)  # for BYE to reach the client
FULL = Objection("Too many connections", "full")
FULL_OF_CLIENT = Objection("Too many connections from your network", "client")
TOO_OFTEN = Objection("Too many connections in a short time, try again later", "rate")

log = get_logger()
_open = gauge("posthouse_imap_connections_open", "Connections now.")


class Listener:
    """All connections of the process; see `imap_gateway.connection.Door`."""

    def __init__(
        self,
        house: House,
        handlers: Handlers,
        certificate: ServerCertificate | None,
        tasks: asyncio.TaskGroup,
        manners: Manners | None = None,
    ) -> None:
        self.house = house
        self.handlers = handlers
        self.certificate = certificate
        self.tasks = tasks
        self.manners = manners or Manners()
        self.is_stopping = False
        self.now: Callable[[], float] = asyncio.get_running_loop().time
        self._connections: dict[Connection, str] = {}  # with the names of their clients
        self._clients: Counter[str] = Counter()
        self._left = asyncio.Event()  # somebody did
        self._doors: list[Door] = []

    async def listen(self, host: str, port: int, *, tls: bool) -> int:
        """Open a port and return its number; ``tls`` is from the first octet (RFC 8314 §3.2)."""
        context = self.certificate.context if tls and self.certificate is not None else None
        if tls and context is None:
            raise ValueError("TLS without a certificate")
        door = await open_door(
            lambda client: Connection(self, client, is_secured=tls),
            host,
            port,
            replace(self.manners, context=context),
        )
        self._doors.append(door)
        log.info("listener opened", host=host, port=door.number, tls=tls)
        return door.number

    def admit(self, connection: Connection) -> Objection | None:
        """Take a new connection; return why it must go again if it is one too many."""
        limits, turnstile = self.house.limits, self.house.turnstile
        client = turnstile.name(connection.peer)
        is_full = len(self._connections) >= limits.connections
        is_full_of_client = client and self._clients[client] >= limits.connections_per_client
        self._connections[connection] = client
        self._clients[client] += 1
        _open.set(len(self._connections))
        if is_full or self.is_stopping:
            return FULL
        if is_full_of_client:
            return FULL_OF_CLIENT
        return None if turnstile.lets_in(connection.peer) else TOO_OFTEN

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        client = self._connections.pop(connection, None)
        if client is not None:
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]
        self._left.set()
        _open.set(len(self._connections))

    async def keep_time(self) -> None:
        """End connections that are silent for too long, for ever (RFC 3501 §5.4)."""
        while True:
            await asyncio.sleep(SWEEP.total_seconds())
            now, limits = self.now(), self.house.limits
            for connection in tuple(self._connections):
                if connection.is_holding:
                    silence, most = now - connection.active_at, limits.literal_silence
                elif connection.is_logged_in:
                    silence, most = now - connection.active_at, limits.silence
                else:
                    silence, most = now - connection.opened_at, limits.before_login
                if silence > most.total_seconds():
                    connection.expire()

    async def drain(self, grace: timedelta) -> None:
        """Stop accepting, say BYE to who is idle, let commands finish for ``grace``, end all."""
        self.is_stopping = True
        for door in self._doors:
            await door.close()
        for connection in tuple(self._connections):
            if connection.is_idle:
                connection.bid_farewell("Server is shutting down", "stopped")
        await self._finished(grace)
        for connection in tuple(self._connections):
            connection.bid_farewell("Server is shutting down", "stopped")
        await self._gone(LAST_WORDS)
        for connection in tuple(self._connections):
            connection.abort()
        log.info("sessions ended")

    async def _finished(self, grace: timedelta) -> None:
        running = [one.task for one in self._connections if one.task is not None]
        if running:
            await asyncio.wait(running, timeout=grace.total_seconds())

    async def _gone(self, patience: timedelta) -> None:
        """Wait until all connections are closed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience.total_seconds()):
                while self._connections:
                    self._left.clear()
                    await self._left.wait()
