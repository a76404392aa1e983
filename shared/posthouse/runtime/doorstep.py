"""The doorstep of a port: who still shakes hands (RFC 8314 §3), or has not told whom he speaks for.

A server of asyncio shakes hands by itself and tells nobody, so that nobody can count: clients that
open TCP and stay silent would each hold a socket and a TLS engine. Here the server is a plain one,
the handshake is ours, and only so many are under way at once. When there is no room, the one that
has lasted the longest gives way, if no honest one lasts that long; else the newcomer is refused. So
whoever is silent is in nobody's way, and a crowd that comes at once is not thrown out half way.

A load balancer's PROXY header is read here, before anything else, and behind it whoever it names
is counted and served as if he had come himself.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias

from posthouse.mail.networks import USUAL, Breadth
from posthouse.runtime.proxy_protocol import MAX_OCTETS, BadHeader, Header, Proxies, read_header
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter, gauge

log = get_logger()
_under_way = gauge(
    "posthouse_tls_handshakes_under_way", "TLS handshakes under way, and PROXY headers awaited."
)
_handshakes = counter(
    "posthouse_tls_handshakes_total",
    "TLS handshakes by their end: done, failed, refused (no room), crowded_out (gave way).",
    "outcome",
)
_headers = counter(
    "posthouse_proxy_headers_total",
    "PROXY headers: taken, local (a proxy's own), malformed, missing, refused (from elsewhere).",
    "outcome",
)

# Makes the protocol of one client: of this address, or, if None, of its transport's.
Welcome: TypeAlias = Callable[[str | None], asyncio.Protocol]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many may shake hands at once, and how long.

    Attributes:
        guests: In all. Each takes 60 KiB at the most: 30 MiB. Honest ones are done within 0.2 s:
            that is 2,500 a second, more than a processor can encrypt.
        guests_per_client: Of these, from one client.
        gives_way_after: A handshake is two round trips: a second to the end of the world.
        ends_after: However much room there is.
    """

    guests: int = 500
    guests_per_client: int = 250
    gives_way_after: timedelta = timedelta(seconds=3)
    ends_after: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """What happens on the doorstep.

    Attributes:
        context: Shows our certificate; None for a port that begins in plain text.
        proxies: Whose PROXY headers are believed.
        room: For how many.
        breadth: Who is one client.
    """

    context: ssl.SSLContext | None = None
    proxies: Proxies = field(default_factory=Proxies)
    room: Room = field(default_factory=Room)
    breadth: Breadth = USUAL


class Doorstep:
    """Of one port; `newcomer` is the protocol of its server, which has no TLS of its own."""

    def __init__(self, welcome: Welcome, manners: Manners) -> None:
        """Begin with nobody; ``welcome`` is called when hands are shaken."""
        self._welcome = welcome
        self._manners = manners
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
        """Receive a duplicate of ``transport``'s socket if there is room."""
        loop = asyncio.get_running_loop()
        peer = transport.get_extra_info("peername")
        client = peer[0] if peer else "unknown"
        proxies = self._manners.proxies
        is_proxy = client in proxies.networks
        if proxies.networks and proxies.is_required and not is_proxy:
            _headers.labels("refused").inc()
            log.info("connection refused", client=client, reason="comes by no proxy of ours")
            return
        guest = _Guest("" if is_proxy else self._manners.breadth.network_of(client), loop.time())
        if not self._is_open or not self._has_room_for(guest):
            _handshakes.labels("refused").inc()
            return
        connection = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        connection.settimeout(0)
        duty = self._receive(connection, client, guest, is_proxy=is_proxy)
        task = loop.create_task(duty, name="doorstep")
        self._guests[task] = guest
        _under_way.inc()
        task.add_done_callback(self._leave)

    def _has_room_for(self, newcomer: _Guest) -> bool:
        """Tell whether there is room for one more, made by who is there longest if need be."""
        room = self._manners.room
        crowd = [
            each
            for each, one in self._guests.items()
            if one is not newcomer and newcomer.network and one.network == newcomer.network
        ]
        if len(crowd) < room.guests_per_client:
            crowd = [each for each, one in self._guests.items() if one is not newcomer]
            if len(crowd) < room.guests:
                return True
        longest = crowd[0]
        since = self._guests[longest].since
        if newcomer.since - since < room.gives_way_after.total_seconds():
            return False
        _handshakes.labels("crowded_out").inc()
        longest.cancel()
        self._leave(longest)
        return True

    def _leave(self, task: asyncio.Task[None]) -> None:
        if self._guests.pop(task, None) is not None:
            _under_way.dec()

    async def _receive(
        self, connection: socket.socket, client: str, guest: _Guest, *, is_proxy: bool
    ) -> None:
        """Read the header of a proxy, and go on with whom it speaks for."""
        try:
            if is_proxy:
                async with asyncio.timeout(self._manners.room.ends_after.total_seconds()):
                    header = await _header(connection)
                _headers.labels("taken" if header.client else "local").inc()
                client = header.client or client
                guest.network = self._manners.breadth.network_of(client)
                if not self._has_room_for(guest):
                    _handshakes.labels("refused").inc()
                    connection.close()
                    return
        except BadHeader as bad:
            _headers.labels("malformed").inc()
            log.warning("PROXY header refused", proxy=client, reason=str(bad))
            connection.close()
        except OSError as error:
            _headers.labels("missing").inc()
            log.info("PROXY header missing", proxy=client, error=str(error) or "it did not come")
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise
        else:
            await self._shake_hands(connection, client)

    async def _shake_hands(self, connection: socket.socket, client: str) -> None:
        context = self._manners.context
        patience = self._manners.room.ends_after.total_seconds() if context else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._welcome(client),
                connection,
                ssl=context,
                ssl_handshake_timeout=patience,
            )
        except OSError as error:  # ssl.SSLError is one
            _handshakes.labels("failed").inc()
            log.info("handshake failed", client=client, error=str(error) or "it has gone")
        else:
            if context:
                _handshakes.labels("done").inc()


async def _header(connection: socket.socket) -> Header:
    """Take a PROXY header, and not one octet more, off ``connection``.

    Raises:
        BadHeader: It is none.
        OSError: The proxy has gone.
    """
    octets = b""
    while True:
        await _readable(connection)
        try:
            ahead = connection.recv(MAX_OCTETS, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        if not ahead:
            raise ConnectionResetError
        header = read_header(octets + ahead)
        # Until it is whole all that is there belongs to it: taken, it wakes us no second time.
        taken = connection.recv(header.octets - len(octets) if header else len(ahead))
        octets += taken
        if header:
            return header


async def _readable(connection: socket.socket) -> None:
    """Return when octets can be read from ``connection``, or its end."""
    loop = asyncio.get_running_loop()
    is_readable = asyncio.Event()
    loop.add_reader(connection, is_readable.set)
    try:
        await is_readable.wait()
    finally:
        loop.remove_reader(connection)


@dataclass(slots=True, eq=False)
class _Guest:
    """One who shakes hands: whence (empty for a proxy, until we know for whom), and since when."""

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
