"""The doorstep of a port with TLS from the first octet (RFC 8314 §3): who still shakes hands.

A server of asyncio shakes hands by itself and tells nobody, so that nobody can count: clients that
open TCP and stay silent would each hold a socket and a TLS engine. Here the server is a plain one,
the handshake is ours, and only so many are under way at once. When there is no room, the one that
has lasted the longest gives way, if no honest one lasts that long; else the newcomer is refused. So
whoever is silent is in nobody's way, and a crowd that comes at once is not thrown out half way.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from posthouse.credentials.failures import network_of
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter, gauge

log = get_logger()
_under_way = gauge("posthouse_tls_handshakes_under_way", "TLS handshakes under way.")
_handshakes = counter(
    "posthouse_tls_handshakes_total",
    "TLS handshakes by their end: done, failed, refused (no room), crowded_out (gave way).",
    "outcome",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many may shake hands at once, and how long.

    Attributes:
        guests: In all. Each takes 60 KiB at the most: 30 MiB. Honest ones are done within 0.2 s:
            that is 2,500 a second, more than a processor can encrypt.
        guests_per_client: Of these, from one client (an IPv6 /64, or a proxy).
        gives_way_after: A handshake is two round trips: a second to the end of the world.
        ends_after: However much room there is.
    """

    guests: int = 500
    guests_per_client: int = 250
    gives_way_after: timedelta = timedelta(seconds=3)
    ends_after: timedelta = timedelta(seconds=30)


ROOM = Room()


class Doorstep:
    """Of one port; `newcomer` is the protocol of its server, which has no TLS of its own."""

    def __init__(
        self,
        context: ssl.SSLContext,
        welcome: Callable[[], asyncio.Protocol],
        room: Room = ROOM,
    ) -> None:
        """Begin with nobody.

        Args:
            context: Shows our certificate.
            welcome: Makes the protocol of one client; it begins when hands are shaken.
            room: For how many.
        """
        self._context = context
        self._welcome = welcome
        self._room = room
        self._is_open = True
        self._guests: dict[asyncio.Task[None], _Guest] = {}  # who is there longest comes first

    @property
    def count(self) -> int:
        """How many shake hands now."""
        return len(self._guests)

    def newcomer(self) -> asyncio.Protocol:
        """Make the protocol of one connection, up to its handshake."""
        return _Newcomer(self)

    async def close(self) -> None:
        """Hang up on everybody who shakes hands; nobody comes in any more."""
        self._is_open = False
        await asyncio.sleep(0)  # a task that has not begun would never close its connection
        tasks = list(self._guests)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def enter(self, transport: asyncio.BaseTransport) -> None:
        """Shake hands over a duplicate of ``transport``'s socket if there is room."""
        loop = asyncio.get_running_loop()
        peer = transport.get_extra_info("peername")
        client = peer[0] if peer else "unknown"
        guest = _Guest(network_of(client), loop.time())
        if not self._is_open or not self._has_room_for(guest):
            _handshakes.labels("refused").inc()
            return
        connection = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        task = loop.create_task(self._shake_hands(connection, client), name="handshake")
        self._guests[task] = guest
        _under_way.inc()
        task.add_done_callback(self._leave)

    def _has_room_for(self, newcomer: _Guest) -> bool:
        """Tell whether there is room for one more, made by who is there longest if need be."""
        crowd = [each for each, one in self._guests.items() if one.network == newcomer.network]
        if len(crowd) < self._room.guests_per_client:
            crowd = list(self._guests)
            if len(crowd) < self._room.guests:
                return True
        longest = crowd[0]
        since = self._guests[longest].since
        if newcomer.since - since < self._room.gives_way_after.total_seconds():
            return False
        _handshakes.labels("crowded_out").inc()
        longest.cancel()
        self._leave(longest)
        return True

    def _leave(self, task: asyncio.Task[None]) -> None:
        if self._guests.pop(task, None) is not None:
            _under_way.dec()

    async def _shake_hands(self, connection: socket.socket, client: str) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._welcome,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=self._room.ends_after.total_seconds(),
            )
        except OSError as error:  # ssl.SSLError is one
            _handshakes.labels("failed").inc()
            log.info("handshake failed", client=client, error=str(error) or "it has gone")
        else:
            _handshakes.labels("done").inc()


@dataclass(frozen=True, slots=True)
class _Guest:
    """One who shakes hands: whence, and since when."""

    network: str
    since: float


class _Newcomer(asyncio.Protocol):
    """A connection before anything is read from it."""

    def __init__(self, doorstep: Doorstep) -> None:
        self._doorstep = doorstep

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the connection on; this transport of it has done its work."""
        try:
            self._doorstep.enter(transport)
        except OSError as error:  # out of file descriptors, or the client has gone
            log.warning("connection refused", error=str(error))
        transport.abort()  # type: ignore[attr-defined]
