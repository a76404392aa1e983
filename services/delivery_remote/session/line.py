"""One SMTP connection: commands out, replies in, several of each on the way (RFC 2920).

The library's protocol knows one reply at a time and drops what comes with it. Here replies queue,
in order; one that nobody asked for stays in the queue and tells the caller that the server has
said goodbye. The library's flow control, reply parser and QUIT stay in use.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import deque
from typing import Any, cast

from aiosmtplib.errors import SMTPException, SMTPReadTimeoutError, SMTPServerDisconnected
from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse

from delivery_remote.transcript import Reply
from posthouse.runtime.tls_facts import chain_of

MAX_UNREAD_REPLIES = 2000  # more than a transaction can ask for
MAX_UNPARSED_OCTETS = 65_536  # of one reply

_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


class Line(SMTPProtocol):
    """The library's protocol with a queue of replies."""

    def __init__(self) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._queue: deque[SMTPResponse] = deque()
        self._fault: SMTPException | None = None
        self._news: asyncio.Future[None] = self._loop.create_future()
        self._is_late = False

    @property
    def has_unread(self) -> bool:
        """True if there is a reply, or a part of one, that was not read; or the line is dead."""
        return bool(self._queue or self._buffer or self._fault)

    def data_received(self, data: bytes) -> None:
        """Queue the replies that are complete."""
        self._buffer.extend(data)
        try:
            while (response := self._read_response_from_buffer()) is not None:
                self._queue.append(response)
        except SMTPException as fault:
            self._fail(fault)
        if len(self._queue) > MAX_UNREAD_REPLIES or len(self._buffer) > MAX_UNPARSED_OCTETS:
            self._fail(SMTPServerDisconnected("the server talks without end"))
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come; what has come can still be read."""
        self._fault = self._fault or SMTPServerDisconnected("the connection was closed")
        super().connection_lost(exc)
        self._wake()

    def eof_received(self) -> bool:
        """Close our side too."""
        self._fault = self._fault or SMTPServerDisconnected("the server closed the connection")
        self._wake()
        return False

    async def read_response(self, timeout: float | None = None) -> SMTPResponse:  # noqa: ASYNC109 - the library's signature
        """Return the next reply.

        Raises:
            SMTPException: The connection broke, spoke no SMTP, or stayed silent for ``timeout``.
        """
        if not self._queue:  # of commands written together most replies come together
            await self._hear(timeout)
        return self._queue.popleft()

    async def _hear(self, seconds: float | None) -> None:
        """Wait until a reply is there; one bare timer costs a third of an `asyncio.timeout`."""
        self._is_late = False
        timer = self._loop.call_later(seconds, self._expire) if seconds is not None else None
        try:
            while not self._queue:
                if self._fault is not None:
                    raise self._fault
                if self._is_late:
                    raise SMTPReadTimeoutError("no reply in time")
                self._news = self._loop.create_future()
                await self._news
        finally:
            if timer is not None:
                timer.cancel()

    def _expire(self) -> None:
        self._is_late = True
        self._wake()

    def _wake(self) -> None:
        """Something has changed for who waits for a reply."""
        if not self._news.done():
            self._news.set_result(None)

    @staticmethod
    def reply_of(response: SMTPResponse) -> Reply:
        """Return a response as a value that can be stored: Unicode without control characters."""
        text = response.message.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return Reply(response.code, _CONTROLS.sub("\ufffd", text))

    def get_extra_info(self, name: str) -> Any:  # noqa: ANN401 - the library of asyncio says so
        """Return what the transport knows under ``name``; None without a connection."""
        return self.transport.get_extra_info(name) if self.transport else None

    @property
    def own_address(self) -> str:
        """The address of ours that the connection is from; empty for a socket, or without one."""
        name = self.get_extra_info("sockname")
        return str(name[0]) if isinstance(name, tuple) else ""

    @property
    def chain(self) -> tuple[bytes, ...]:
        """The certificates that the server showed, in DER, its own first."""
        return chain_of(self.transport) if self.transport else ()

    async def drained(self, seconds: float) -> None:
        """Wait until the buffer below is small again (RFC 5321 §4.5.3.2.5).

        Raises:
            SMTPException: The connection broke, or the server takes nothing.
        """
        if not self._paused and not self._connection_lost:
            return  # nearly always: spare a timer
        try:
            async with asyncio.timeout(seconds):
                await self._drain_helper()
        except TimeoutError:
            raise SMTPReadTimeoutError("the server stopped taking the message") from None
        except ConnectionError as broken:
            raise SMTPServerDisconnected("the connection broke") from broken

    async def encrypt(self, context: ssl.SSLContext, host: str, seconds: float) -> None:
        """Begin TLS after ``220`` (RFC 3207 §4).

        Raises:
            SMTPException: Something was said in plain text behind the 220 (an injection), or the
                handshake failed.
        """
        if self.has_unread:
            raise SMTPServerDisconnected("unencrypted data behind the reply to STARTTLS")
        try:
            async with asyncio.timeout(seconds):
                self.transport = await self._loop.start_tls(
                    cast(asyncio.WriteTransport, self.transport),
                    self,
                    context,
                    server_hostname=host,
                )
        except (OSError, TimeoutError) as broken:  # ssl.SSLError is an OSError
            raise SMTPServerDisconnected(f"TLS failed: {broken!r}") from broken
        self._over_ssl = True

    def abort(self) -> None:
        """Close at once, without QUIT; what was not sent is not sent."""
        if self.transport is not None:
            cast(asyncio.WriteTransport, self.transport).abort()

    def _fail(self, fault: SMTPException) -> None:
        self._fault = self._fault or fault
        self._buffer.clear()
        self.abort()
