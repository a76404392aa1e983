"""What one client's session holds and does to its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta

from pop3_gateway import replies
from pop3_gateway.connection import Connection, Gone
from pop3_gateway.drop import View
from pop3_gateway.house import House
from pop3_gateway.languages import ENGLISH, spoken
from pop3_gateway.login import Login
from pop3_gateway.maildrops import Opened
from pop3_gateway.state import State
from posthouse.credentials.exchange import Channel
from posthouse.mail.errors import MissingObject, Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

log = get_logger()
_octets = counter("posthouse_pop3_octets_total", "Octets of messages sent.")


class Failed(Exception):
    """The command is answered with -ERR; the arguments are those of `Session.refuse`."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class Session:
    """See the names.

    Attributes:
        house: What all sessions share.
        connection: The client.
        login: Its attempts.
        user: What USER said.
        language: Of what we say to people (RFC 6856 §3).
        is_utf8: The client takes UTF-8 in headers (RFC 6856 §2.1).
        opened: Its maildrop; None before the login.
        is_over: The connection is closed after this command.
        is_stopping: The service stops: patience is short.
    """

    def __init__(self, house: House, connection: Connection) -> None:
        self.house = house
        self.connection = connection
        self.login = Login(house, connection.peer)
        self.user = ""
        self.language = ENGLISH
        self.is_utf8 = False
        self.opened: Opened | None = None
        self.is_over = False
        self.is_stopping = False

    @property
    def state(self) -> State:
        """Where the session is (RFC 1939 §3)."""
        return State.AUTHORIZATION if self.opened is None else State.TRANSACTION

    @property
    def mine(self) -> Opened:
        """The maildrop, in the TRANSACTION state."""
        if self.opened is None:
            raise Failed("Log in first")
        return self.opened

    @property
    def view(self) -> View:
        """The messages, in the TRANSACTION state."""
        return self.mine.view

    @property
    def channel(self) -> Channel:
        """What is known of the connection."""
        return self.house.channel_of(self.connection.peer, self.connection.tls)

    def stop(self) -> None:
        """Come to an end: at once before the login, otherwise after a short silence.

        A client in the middle of its work would lose its deletions and fetch all again.
        """
        self.is_stopping = True
        self.connection.hurry(self._patience().total_seconds())

    def _patience(self) -> timedelta:
        limits = self.house.limits
        if self.is_stopping:
            return limits.farewell if self.opened else timedelta()
        return limits.silence if self.opened else limits.before_login

    async def read(self, limit: int) -> bytes:
        """Return the client's next line; raise `TimeoutError`, `LineTooLong` or `Gone`."""
        return await self.connection.read_line(limit, self._patience().total_seconds())

    async def drain(self) -> None:
        """Wait until the client took what was said; raise `Gone` if it does not."""
        if self.connection.is_taking:
            return
        try:
            async with asyncio.timeout(self.house.limits.silence.total_seconds()):
                await self.connection.drain()
        except TimeoutError as silence:
            raise Gone from silence

    def say(self, text: str = "", *values: int) -> None:
        """Say that the command worked, in the client's language."""
        self.connection.write(self._ok(text, *values))

    def _ok(self, text: str, *values: int) -> bytes:
        said = spoken(text, self.language)
        return replies.ok(said % values if values else said)

    def refuse(self, text: str, code: str = "") -> None:
        """Say that it did not; ``code`` is a response code (RFC 2449 §8, RFC 3206)."""
        self.connection.write(replies.err(spoken(text, self.language), code))

    def send_whole(self, octets: bytes, text: str, *values: int) -> None:
        """Send a message that is all there."""
        _octets.inc(len(octets))
        self.connection.write(replies.whole(self._ok(text, *values), octets))

    async def send(self, pieces: AsyncGenerator[bytes, None], text: str = "", *values: int) -> None:
        """Send a message; what fails before its first octet has gone is an error, later the end.

        The first piece waits for the second: most messages have none, and go out in one write.
        """
        stuffing = replies.Stuffing()
        held, is_begun = b"", False
        try:
            async with aclosing(pieces) as source:
                async for piece in source:
                    _octets.inc(len(piece))
                    stuffed = stuffing.feed(piece)
                    if not is_begun:
                        held, is_begun = self._ok(text, *values) + stuffed, True
                        continue
                    self.connection.write(held + stuffed)
                    held = b""
                    await self.drain()
        except (Unavailable, MissingObject) as trouble:
            if held or not is_begun:
                raise
            log.warning("message cut off", reason=str(trouble))
            raise Gone from trouble
        self.connection.write(held + stuffing.finish())
