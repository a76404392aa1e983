"""The listener's connections: the drive of aiosmtpd under our sessions.

The only file that knows aiosmtpd. Of its `SMTP` we keep the protocol with its flow control, timer
and handler task; the conversation is `Session`'s. What is overridden, and why:

- the constructor inspects two classes by name for each connection and clears limits that all
  share, and its streams hand each octet on three times: ours keeps what has come itself;
- its command loop answers exceptions with 500 and their text: ours is `Session.run`;
- a half-closed or lost connection cancels the running handler there: here the session goes on, so
  that a message whose client has vanished is accepted once and for all or not at all;
- its idle timer closes without a word and runs while we work: ours runs while we wait for the
  client, says 421 (RFC 5321 §4.5.3.2) and is armed once, not per command.

It relies on private names of aiosmtpd 1.4.6: the version is pinned and a contract test watches.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, cast

from aiosmtpd.smtp import SMTP

from ingress_smtp import replies
from ingress_smtp.conversation import House
from ingress_smtp.exchange import Expected
from ingress_smtp.replies import Reply
from ingress_smtp.session import Session
from ingress_smtp.terms import Terms
from posthouse.mail.encryption import Tls
from posthouse.runtime.tls_facts import agreed
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter, gauge

PAUSE_OCTETS = 128 * 1024  # when so much waits for us, we read no more
LAST_WORDS = timedelta(seconds=10)  # for the client to take our last reply
LINGER = timedelta(seconds=2)  # for a client that talks on after we have ended the session
LINGER_OCTETS = 4 * 1024 * 1024
HANDSHAKE = timedelta(seconds=30)

_SESSIONS = gauge("posthouse_ingress_sessions", "Sessions that are open.", "role")
_CONNECTIONS = counter("posthouse_ingress_connections_total", "Connections.", "role", "outcome")
log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a client may take.

    Attributes:
        silence: Between two octets, and for a whole command line (RFC 5321 §4.5.3.2.7).
        message: For a whole message, however steadily it drips.
    """

    silence: timedelta
    message: timedelta


class Hall(Protocol):
    """Where connections come in: what they need of `ports.Listeners`."""

    house: House
    patience: Patience

    def enter(self, connection: Connection) -> bool:
        """Take ``connection`` in; False if there are too many."""

    def move(self, connection: Connection) -> bool:
        """Count ``connection`` as its client's; False if there are too many of that one."""

    def leave(self, connection: Connection) -> None:
        """Let ``connection`` go."""


class Connection(SMTP):
    """One client's connection: aiosmtpd's protocol, and the wire of our session."""

    def __init__(
        self,
        hall: Hall,
        terms: Terms,
        certificate: ssl.SSLContext | None = None,
        client: str | None = None,
    ) -> None:  # its own is not called: see above
        self.loop = asyncio.get_running_loop()
        # Without a reader it is flow control alone.
        asyncio.StreamReaderProtocol.__init__(self, None, loop=self.loop)  # type: ignore[arg-type]
        self._hall = hall
        self._terms = terms
        self._certificate = certificate
        self._timeout_handle = None
        self._silence = hall.patience.silence.total_seconds()
        self._message = hall.patience.message.total_seconds()
        self._timeout_duration = min(self._silence, self._message)
        self._due = 0.0  # when what is being read must be here
        self._message_due = 0.0
        self._came = b""  # and waits for us
        self._has_all = False  # nothing more can come
        self._reading: asyncio.Future[None] | None = None  # we wait for it to come
        self.transport: asyncio.Transport | None = None
        self.conversation: Session | None = None
        self.client = client or ""
        self.tls: Tls | None = None
        self._waits_until: float | None = None
        self._given_up = False
        self._has_ended = False  # our half: nothing more can be said

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session, in a task of its own."""
        self.transport = cast(asyncio.Transport, transport)
        if not self.client:
            peer = transport.get_extra_info("peername")
            self.client = peer[0] if peer else "unknown"
        self.tls = agreed(transport)
        self._reset_timeout()
        self._handler_coroutine = self.loop.create_task(self._handle_client())

    def data_received(self, data: bytes) -> None:
        """Keep ``data`` until it is read; of a client that sends faster than that, no more."""
        self._came = self._came + data if self._came else data
        if len(self._came) > PAUSE_OCTETS and self.transport is not None:
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Go on: the client may still wait for the reply (RFC 9293 §3.6); TLS cannot be half."""
        self._has_all = True
        self._wake()
        return self.tls is None

    def connection_lost(self, error: Exception | None) -> None:
        """Let the session find out by itself; what it is doing goes on."""
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
            self._timeout_handle = None
        asyncio.StreamReaderProtocol.connection_lost(self, error)
        self.transport = None
        self._has_all = True
        self._wake()

    def _wake(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)

    def _timeout_cb(self) -> None:
        """Look whether the client has kept us waiting too long."""
        if self.transport is None:
            return
        left = self._timeout_duration
        if self._waits_until is not None:
            left = self._waits_until - self.loop.time()
        if left > 0 and not self._given_up:
            self._reset_timeout(left)
        elif self._given_up:
            self.abort()
        else:
            self.dismiss(replies.TIMED_OUT)

    def dismiss(self, reply: Reply) -> None:
        """Say ``reply`` and close; nothing more is read."""
        if self.transport is None:
            return
        self._given_up = True
        if not self._has_ended:
            self.transport.write(reply.wire)
        self.transport.close()
        self._wake()
        self._reset_timeout(LAST_WORDS.total_seconds())

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    def speak_for(self, client: str) -> bool:
        """Be ``client`` from now on; False if it has too many sessions without this one."""
        self.client = client
        return self._hall.move(self)

    def expect(self, what: Expected) -> None:
        """Begin the time in which all of ``what`` must be here; for a rest it goes on."""
        now = self.loop.time()
        if what == "message":
            self._message_due = now + self._message
        elif what == "rest" and self._message_due <= now:  # it may all be here, bit by bit
            self.dismiss(replies.TIMED_OUT)
        self._due = now + self._silence if what == "line" else self._message_due

    async def is_silent_for(self, pause: timedelta) -> bool:
        """Return after ``pause``, or False at once when octets come, or the end."""
        self.expect("line")
        with suppress(TimeoutError):
            async with asyncio.timeout(pause.total_seconds()):
                await self.read()
                return False
        return True

    async def read(self) -> bytes:
        """Return the next octets; empty when the client has gone or was given up."""
        if self._given_up:
            return b""
        now = self.loop.time()
        if self._due <= now:  # the timer may sleep on: it was set for something else
            self.dismiss(replies.TIMED_OUT)
            return b""
        if not self._came and not self._has_all:
            self._waits_until = min(now + self._silence, self._due)
            self._reading = self.loop.create_future()
            try:
                await self._reading
            finally:
                self._reading = self._waits_until = None
            if self._given_up:
                return b""
        came, self._came = self._came, b""
        if len(came) > PAUSE_OCTETS and self.transport and not self.transport.is_closing():
            self.transport.resume_reading()
        return came

    async def write(self, octets: bytes) -> None:
        """Send; returns when the client takes it, or has gone."""
        if self.transport is None or self._given_up:
            return
        self.transport.write(octets)
        if not self._paused:  # type: ignore[attr-defined]
            return
        self._waits_until = self.loop.time() + self._silence
        try:
            await self._drain_helper()  # type: ignore[attr-defined]
        except ConnectionError:
            return
        finally:
            self._waits_until = None

    async def start_tls(self, go_ahead: bytes) -> bool:
        """Send ``go_ahead`` and shake hands (RFC 3207 §4).

        False if octets came in plain text behind STARTTLS, or the handshake failed.
        """
        if self._certificate is None:
            return False
        await self.write(go_ahead)
        # From here to the change of protocol nothing waits: no octet can slip in between.
        if self.transport is None or self._came:
            return False
        try:
            secured = await self.loop.start_tls(
                self.transport,
                self,
                self._certificate,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE.total_seconds(),
            )
        except (OSError, ssl.SSLError) as error:
            log.info("handshake failed", client=self.client, error=str(error))
            return False
        if secured is None or self.transport is None:  # it was lost in between
            return False
        self.transport = secured
        self.tls = agreed(secured)
        return True

    async def _handle_client(self) -> None:
        """Run the session, whatever happens to the connection."""
        role = self._terms.role
        if not self._hall.enter(self):
            _CONNECTIONS.labels(role, "refused").inc()
            self.dismiss(replies.TOO_MANY_SESSIONS)
            return
        _CONNECTIONS.labels(role, "served").inc()
        _SESSIONS.labels(role).inc()
        try:
            self.conversation = Session(self, self._terms, self._hall.house)
            if await self.conversation.run():
                await self._linger()
        except Exception:
            log.exception("session failed", client=self.client)
        finally:
            _SESSIONS.labels(role).dec()
            self._hall.leave(self)
            self.conversation = None
            if self.transport is not None:
                self.transport.close()

    async def _linger(self) -> None:
        """Close our half first: what the client still sends must not reset our last words away."""
        if self.transport is None or self._given_up or self.tls is not None:
            return
        self._has_ended = True
        self.transport.write_eof()
        self.expect("line")
        unheard = LINGER_OCTETS
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER.total_seconds()):
                while unheard > 0 and (octets := await self.read()):
                    unheard -= len(octets)
