"""Octets in and out of one session: lines, messages, replies; nothing is decided here.

Replies to a group of pipelined commands are gathered and leave together, before the next read
(RFC 2920 §3.2).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, Protocol, TypeAlias

from ingress_smtp import replies
from ingress_smtp.draft import Draft
from ingress_smtp.framing import (
    MAX_AUTH_OCTETS,
    MAX_COMMAND_OCTETS,
    BadLine,
    Dots,
    skip_line,
    take_line,
)
from ingress_smtp.replies import Reply
from posthouse.mail.encryption import Tls

MAX_SKIPPED_OCTETS = 1024 * 1024  # of one over-long command line


class Gone(Exception):
    """The client has gone, or was given up; there is nobody to answer."""


Expected: TypeAlias = Literal["line", "message", "rest"]  # of a message that was begun


class Wire(Protocol):
    """What a session needs of its connection.

    Attributes:
        client: The client's IP address, or that of whom it speaks for.
    """

    client: str

    @property
    def tls(self) -> Tls | None:
        """What was agreed on, None in plain text."""

    def speak_for(self, client: str) -> bool:
        """Be ``client`` from now on; False if it has too many sessions without this one."""

    def expect(self, what: Expected) -> None:
        """From now on the client's ``what`` is read: all of it is due in its time."""

    async def is_silent_for(self, pause: timedelta) -> bool:
        """Return after ``pause``, or False at once when octets come, or the end."""

    async def read(self) -> bytes:
        """Return the next octets; empty when the client has gone or was given up."""

    async def write(self, octets: bytes) -> None:
        """Send; returns when the client takes it, or has gone."""

    async def start_tls(self, go_ahead: bytes) -> bool:
        """Send ``go_ahead`` and shake hands; False if octets came in plain text behind it."""


class Exchange:
    """What was read and not yet understood, what was said and not yet sent.

    Attributes:
        is_waiting: For the client's next line.
        is_within: A message; what comes next is no command.
    """

    def __init__(self, wire: Wire) -> None:
        self.is_waiting = False
        self.is_within = False
        self._wire = wire
        self._in = bytearray()
        self._out = bytearray()

    @property
    def has_more(self) -> bool:
        """True if octets are here that nobody has looked at."""
        return bool(self._in)

    def say(self, octets: bytes) -> None:
        """Send ``octets`` with the next `flush`."""
        self._out += octets

    async def flush(self) -> None:
        """Send what was said."""
        if self._out:
            out, self._out = bytes(self._out), bytearray()
            await self._wire.write(out)

    async def is_silent_for(self, pause: timedelta) -> bool:
        """Tell whether the client keeps silent for ``pause``; what it says instead is lost."""
        self.is_waiting = True
        is_silent = await self._wire.is_silent_for(pause)
        self.is_waiting = False
        return is_silent

    async def line(self, limit: int = 0) -> bytes:
        """Return the next line, without its end; waits for it with everything sent.

        Raises:
            BadLine: It cannot be read.
            Gone: There is none to come.
        """
        is_expected = False
        while True:
            most = limit or _limit_of(self._in)
            line = take_line(self._in, most)
            if line is not None:
                return line
            if not is_expected:
                self._wire.expect("line")
                is_expected = True
            if len(self._in) > most:
                await self._skip_line()
                raise BadLine(replies.LINE_TOO_LONG)
            await self.flush()
            self.is_waiting = True
            self._in += await self._read()
            self.is_waiting = False

    async def message(self, draft: Draft) -> None:
        """Read to the end of a message; a refused one only so far, then we hang up.

        Raises:
            Gone: It has no end.
        """
        self._wire.expect("message")
        self.is_within = True
        dots = Dots()
        portion = bytes(self._in)
        self._in.clear()
        while True:
            content, behind = dots.feed(portion)
            draft.take(content)
            if behind is not None:
                self._in += portion[len(portion) - behind :]
                self.is_within = False
                return
            if draft.is_full:
                await draft.spill()
            if draft.is_hopeless:
                draft.hang_up()
                return
            portion = await self._read()

    async def chunk(self, octets: int, draft: Draft, *, is_first: bool) -> None:
        """Read ``octets`` of a message (RFC 3030 §2); of a refused one only so far, as above.

        Raises:
            Gone: They do not come.
        """
        self._wire.expect("message" if is_first else "rest")
        self.is_within = True
        portion = bytes(self._in[:octets])
        del self._in[:octets]
        while True:
            octets -= len(portion)
            draft.take(portion)
            if draft.is_full:
                await draft.spill()
            if not octets:
                self.is_within = False
                return
            if draft.is_hopeless:
                draft.hang_up()
                return
            await self.flush()
            portion = await self._read()
            self._in += portion[octets:]
            portion = portion[:octets]

    async def start_tls(self, go_ahead: Reply) -> None:
        """Send ``go_ahead`` and shake hands; raise `Gone` if that fails."""
        await self.flush()
        if not await self._wire.start_tls(go_ahead.wire):
            raise Gone

    async def _skip_line(self) -> None:
        skipped = 0
        while not skip_line(self._in):
            self._in += await self._read()
            skipped += len(self._in)
            if skipped > MAX_SKIPPED_OCTETS:
                raise BadLine(replies.LINE_TOO_LONG_BY_FAR)

    async def _read(self) -> bytes:
        octets = await self._wire.read()
        if not octets:
            raise Gone
        return octets


def _limit_of(buffer: bytearray) -> int:
    """Return how long the line that begins ``buffer`` may be."""
    is_auth = buffer.startswith((b"A", b"a")) and buffer[:5].upper() == b"AUTH "
    return MAX_AUTH_OCTETS if is_auth else MAX_COMMAND_OCTETS
