"""Connections: octets in and out, one task per connection only while it waits for something.

    data_received ─▶ Framer ─▶ `_work` (at once, then a task) ─▶ Session ─▶ write
                                  ▲
    `wake` (the mailbox changed) ─┘

An idling client has no task and next to no memory. What a client may make us hold is bounded: the
framer stops reading while a command is at work, and writing waits for the client. A client that
ends its half of the connection still gets the answers to all that it has sent.
"""

from __future__ import annotations

import asyncio
from typing import cast

from imap_gateway.client import Client
from imap_gateway.door import Door
from imap_gateway.errors import ConnectionLost, Farewell
from imap_gateway.protocol import responses
from imap_gateway.protocol.framing import Frame, GoAhead, Hopeless, Part, TooLarge
from imap_gateway.session import Session
from imap_gateway.wire.at_once import begin
from imap_gateway.wire.inlet import Inlet
from imap_gateway.wire.outlet import Outlet
from imap_gateway.wire.upgrade import upgraded
from posthouse.mail.encryption import Tls
from posthouse.runtime.spool import SpoolFile
from posthouse.runtime.tls_facts import agreed
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

log = get_logger()
_accepted = counter("posthouse_imap_connections_total", "Connections accepted.", "kind")
_ended = counter("posthouse_imap_connections_ended_total", "Connections ended by us.", "why")


class Connection(asyncio.Protocol):
    """One client's connection; is the session's `Wire`. Thousands idle: slots take less than a dict."""

    __slots__ = ("_client", "_door", "_inlet", "_is_at_work", "_is_expired", "_is_upgrading", "_is_woken", "_outlet", "_secured", "_session",
                 "_transport", "active_at", "opened_at", "task")  # fmt: skip

    def __init__(self, door: Door[Connection], client: str | None, *, is_secured: bool) -> None:
        self._door = door
        self._client = client  # whom a proxy speaks for
        self._secured = is_secured
        self._transport: asyncio.Transport | None = None
        self._session = Session(Client(door.house, self), door.handlers)
        self.task: asyncio.Task[None] | None = None  # of a command that waits for something
        self._outlet = Outlet()
        self._inlet = Inlet(door.house, self._outlet)
        self._is_at_work = False
        self._is_woken = False
        self._is_upgrading = False
        self._is_expired = False
        self.opened_at = self.active_at = door.now()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, once; after STARTTLS the transport is another one."""
        self._transport = cast("asyncio.Transport", transport)
        self._outlet.attach(self._transport)
        self._inlet.attach(self._transport)
        if self._is_upgrading:
            return
        _accepted.labels("tls" if self._secured else "plain").inc()
        if objection := self._door.admit(self):
            self.bid_farewell(*objection)
        else:
            self._session.greet()
            self._outlet.flush()

    def data_received(self, data: bytes) -> None:
        """Take octets, and see to it that somebody works on them."""
        self.active_at = self._door.now()
        self._inlet.feed(data)
        if not self._is_at_work and not self._outlet.is_lost:
            self._is_at_work = True
            self.task = begin(self._door.tasks, self._work())

    def eof_received(self) -> bool:
        """Answer what came before the end; TLS cannot be ended by halves."""
        self._inlet.end()
        if not self._is_at_work:
            self._rest()
        return not self._secured

    def connection_lost(self, _exc: Exception | None) -> None:
        """Let go of everything."""
        self._outlet.lose()
        self._inlet.end()
        self._door.forget(self)
        if not self._is_at_work:
            self._rest()

    def pause_writing(self) -> None:
        """The client is slow."""
        self._outlet.pause()

    def resume_writing(self) -> None:
        """It caught up."""
        self.active_at = self._door.now()
        self._outlet.resume()

    # What the session calls

    @property
    def peer(self) -> str:
        """The client's IP address."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return self._client or (str(name[0]) if name else "unknown")

    @property
    def tls(self) -> Tls | None:
        """What the handshake agreed on: asked for at logins, and not kept for thousands who idle."""
        return agreed(self._transport) if self._transport is not None else None

    @property
    def can_start_tls(self) -> bool:
        """There is a certificate, and TLS is not on."""
        return self._door.certificate is not None and not self._secured

    def write(self, octets: bytes) -> None:
        """Send, soon."""
        self._outlet.write(octets)

    def write_now(self, octets: bytes) -> None:
        """Send what the client is to read at once."""
        self._outlet.write(octets)
        self._outlet.flush()

    async def drain(self) -> None:
        """Wait until the client has taken most of what was sent; raise `ConnectionLost`."""
        await self._outlet.drain()

    async def line(self) -> bytes:
        """Return the client's next line; raise `ConnectionLost` or `Farewell`."""
        return await self._inlet.wait_for_line()

    async def start_tls(self) -> None:
        """Go over to TLS. What came in clear behind STARTTLS may be an attacker's (RFC 3501 §6.2.1)."""
        certificate, transport = self._door.certificate, self._transport
        if certificate is None or transport is None or self._inlet.held:
            log.warning("plaintext after STARTTLS")
            raise ConnectionLost
        self._outlet.flush()
        self._is_upgrading = True
        self._transport = await upgraded(transport, self, certificate.context)
        if self._outlet.is_lost:
            raise ConnectionLost
        self._outlet.attach(self._transport)
        self._inlet.attach(self._transport)
        self._secured = True

    def trust(self, *, on: bool) -> None:
        """Somebody has logged in, or out: then there is as much time to log in as there was first."""
        if not on:
            self.opened_at = self._door.now()
        self._inlet.trust(self._session.client.guest, on=on)

    @property
    def put_aside(self) -> SpoolFile | None:
        """What was put aside of the command at work."""
        return self._inlet.aside

    @property
    def is_compressed(self) -> bool:
        """COMPRESS is on."""
        return self._outlet.is_compressed

    def compress(self, *, on: bool) -> None:
        """Begin or end to compress, both ways (RFC 4978 §3, RFC 8437 §4.1)."""
        if on:
            self._outlet.begin_deflating()
            self._inlet.begin_inflating()
        else:
            self._outlet.end_deflating()
            self._inlet.end_inflating()

    def wake(self) -> None:
        """The selected mailbox changed."""
        self._is_woken = True
        if not self._is_at_work and not self._outlet.is_lost:
            self._is_at_work = True
            self.task = self._door.tasks.create_task(self._work())

    # What the door calls

    @property
    def is_idle(self) -> bool:
        """No command is at work."""
        return not self._is_at_work

    @property
    def is_holding(self) -> bool:
        """We wait for the rest of a large command."""
        return not self._is_at_work and bool(self._inlet.share.octets)

    @property
    def is_logged_in(self) -> bool:
        """Somebody has logged in."""
        return bool(self._session.client.account)

    def bid_farewell(self, text: str, why: str) -> None:
        """End the connection with BYE; what is at work sees it lost."""
        _ended.labels(why).inc()
        if text:
            self.write(responses.status(b"*", b"BYE", text))
        self.close()

    def expire(self) -> None:
        """End a connection that was silent for too long; one that does not take BYE is cut off."""
        if self._is_expired:
            self.abort()
        else:
            self._is_expired = True
            self.bid_farewell("Silent for too long", "silent")

    def close(self) -> None:
        """Send what was written, for a while, then end."""
        self._outlet.flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End at once."""
        if self._transport is not None:
            self._transport.abort()

    # The work

    async def _work(self) -> None:
        """Answer what is there to be answered, then end; the next octets start it again."""
        self._outlet.begin_turn()
        try:
            while await self._step():
                self._inlet.read(on=True)
                if self._outlet.must_wait():
                    await self._outlet.drain()
                if self._inlet.is_empty and not self._is_woken:
                    break
        except Farewell as farewell:
            self.bid_farewell(str(farewell), "session")
        except ConnectionLost:
            self.close()
        except Exception:
            log.exception("session broke")
            self.bid_farewell("Internal error", "broken")
        finally:
            self._rest()

    def _rest(self) -> None:
        """Nothing is at work now: end what has ended."""
        self._outlet.flush()
        self.task, self._is_at_work = None, False
        if self._inlet.is_ended:
            self.close()
        if self._outlet.is_lost:
            self._inlet.forget()
            self._session.client.end()

    async def _step(self) -> bool:
        """Do one thing; False if there is nothing to do now."""
        if self._outlet.is_lost or (self._transport is not None and self._transport.is_closing()):
            return False
        if self._door.is_stopping:
            raise Farewell("Server is shutting down")
        if self._is_woken:
            self._is_woken = False
            await self._session.refresh_idle()
            return True
        return self._idle_line() if self._session.is_idling else await self._command()

    async def _command(self) -> bool:
        """Take what comes next of a command; False if there is nothing to do now."""
        event = self._inlet.frame()
        if not self._inlet.is_paid and await self._inlet.afford():
            self.active_at = self._door.now()
        if isinstance(event, Frame | TooLarge):
            try:
                await self._session.answer(event)
            finally:
                self._inlet.forget()
        elif isinstance(event, Hopeless):
            self.write(responses.status(b"*", b"BAD", event.reason))
            raise Farewell(event.reason)
        elif isinstance(event, GoAhead):
            self.write(b"+ go ahead\r\n")
        elif isinstance(event, Part):
            await self._inlet.put_aside(event.octets)
        return event is not None

    def _idle_line(self) -> bool:
        line = self._inlet.line()
        if line is not None:
            self._session.end_idle(line)
        return line is not None
