"""One client's connection: lines in, octets out, TLS when asked for.

Bounded on both sides: reading pauses while more than a few lines wait, writing waits for a slow
client. What a client sent before its TLS handshake is refused, never read behind it (RFC 2595 §4).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import timedelta
from typing import cast

from posthouse.mail.encryption import Tls
from posthouse.runtime.tls_facts import agreed

MAX_WAITING_OCTETS = 65_536  # pipelined commands (RFC 2449 §6.6); then reading pauses
HANDSHAKE = timedelta(seconds=30)
LINGER = timedelta(seconds=10)  # for the client to take our last words


class LineTooLong(Exception):
    """A line exceeds its limit; it was skipped whole."""


class Gone(Exception):
    """The client is not there any more, or did not take what we sent."""


class Connection(asyncio.Protocol):
    """The protocol under a session.

    Attributes:
        peer: The client's address.
        tls: What the handshake agreed on, None in plain text.
    """

    def __init__(self, on_open: Callable[[Connection], None], client: str | None = None) -> None:
        self._on_open = on_open
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._is_skipping = False  # the rest of a line that was too long
        self._is_ended = False
        self._waiter: asyncio.Future[None] | None = None  # who reads a line
        self._until = 0.0  # when that reader's time is up
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0
        self._writable = asyncio.Event()
        self._writable.set()
        self.peer = client or ""
        self.tls: Tls | None = None

    # ---- what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self.peer = self.peer or (transport.get_extra_info("peername") or ("",))[0]
        self.tls = agreed(transport)
        self._on_open(self)

    def data_received(self, data: bytes) -> None:
        """Keep what came for `read_line`."""
        self._buffer += data
        if len(self._buffer) > MAX_WAITING_OCTETS and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Go on: the client may still read our replies; TLS cannot be half closed."""
        self._is_ended = True
        self._wake()
        return self.tls is None

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """End."""
        self._is_ended = True
        self._transport = None
        self._cancel_timer()
        self._wake()
        self._writable.set()

    def pause_writing(self) -> None:
        """Too much waits to be taken by the client."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has taken enough."""
        self._writable.set()

    # ---- what the session does

    async def read_line(self, limit: int, seconds: float) -> bytes:
        """Return the next line without its end, CRLF or LF.

        Raises `LineTooLong` if it has more than ``limit`` octets, `TimeoutError` if it is not
        there within so many ``seconds``, `Gone` at the end.
        """
        line = self._line(limit)
        if line is None:
            self._until = self._loop.time() + seconds
        while line is None:
            if self._is_ended or self._transport is None:
                raise Gone
            self._transport.resume_reading()
            await self._arrival()
            line = self._line(limit)
        return line

    def hurry(self, seconds: float) -> None:
        """Give the line that is waited for at most so much time from now on."""
        self._until = min(self._until, self._loop.time() + seconds)
        if self._waiter is not None:
            self._watch()

    def _line(self, limit: int) -> bytes | None:
        """Take a whole line from what came; None if there is none yet."""
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > limit:
                self._is_skipping = True
                self._buffer.clear()
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        if self._is_skipping or len(line) > limit:
            self._is_skipping = False
            raise LineTooLong
        return line.removesuffix(b"\r")

    async def _arrival(self) -> None:
        """Wait for octets or the end; raise `TimeoutError`."""
        self._waiter = self._loop.create_future()
        self._watch()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _watch(self) -> None:
        """Have the timer ring when the time is up, or before: one for each line would cost more."""
        if self._timer is not None and self._rings_at <= self._until:
            return
        self._cancel_timer()
        self._rings_at = self._until
        self._timer = self._loop.call_at(self._until, self._ring)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return  # the next line has its own
        if self._loop.time() < self._until:
            self._watch()
        else:
            self._waiter.set_exception(TimeoutError())

    @property
    def has_more(self) -> bool:
        """True if the client sent something that was not read yet."""
        return bool(self._buffer)

    @property
    def is_taking(self) -> bool:
        """True if the client is there and takes what we send: `drain` need not wait."""
        return self._transport is not None and self._writable.is_set()

    def write(self, octets: bytes) -> None:
        """Send; dropped if the client has gone."""
        if self._transport is not None:
            self._transport.write(octets)

    async def drain(self) -> None:
        """Wait until the client has taken enough; raise `Gone`."""
        await self._writable.wait()
        if self._transport is None:
            raise Gone

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Become the server of a TLS session; raise `Gone` if the handshake fails.

        The caller has seen that `has_more` is false and has said "begin".
        """
        if self._transport is None:
            raise Gone
        try:
            transport = await self._loop.start_tls(
                self._transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE.total_seconds(),
            )
        except OSError as error:
            raise Gone from error
        if transport is None:
            raise Gone
        self._transport = transport
        self.tls = agreed(transport)

    def close(self) -> None:
        """Close after what was written is sent; a client that does not take it is cut off."""
        if self._transport is not None:
            self._cancel_timer()
            self._timer = self._loop.call_later(LINGER.total_seconds(), self.abort)
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
