"""The way in of a connection: from octets to commands, with what is put aside of them.

feed ─▶ inflater (if the client compresses) ─▶ framer ─▶ `frame`, `line`
└─▶ spool: messages that are too large to be held
"""

from __future__ import annotations

import asyncio

from imap_gateway.errors import ConnectionLost, Farewell
from imap_gateway.house import House
from imap_gateway.memory.budget import Share
from imap_gateway.memory.guests import Guest
from imap_gateway.protocol.framing import MAX_LINE_OCTETS, Event, Framer, Hopeless
from imap_gateway.wire.compression import BadCompression, Inflater
from imap_gateway.wire.latch import Latch
from imap_gateway.wire.outlet import Outlet
from posthouse.runtime.spool import SpoolFile
from posthouse.telemetry.logs import get_logger

PORTIONS_AT_ONCE = 16  # of what was compressed, 1 MiB in all, before others get their turn

log = get_logger()


class Swallowed:
    """Much came that is thrown away, and more is there."""


class Inlet:
    """What one client says.

    Attributes:
        share: Of the spool, for the command that comes in.
        aside: What was put aside of that command, None if nothing was.
        is_ended: The client says nothing any more.
    """

    __slots__ = ("_framer", "_inflater", "_is_reading", "_more", "_outlet", "_spool", "_transport",
                 "aside", "is_ended", "share")  # fmt: skip

    def __init__(self, house: House, outlet: Outlet) -> None:
        self._outlet = outlet
        self._transport: asyncio.ReadTransport | None = None
        self._is_reading = True
        self._more = Latch(is_open=False)  # octets came, or none will
        self.is_ended = False
        self._framer = Framer(house.limits.message_octets)
        self._inflater: Inflater | None = None
        self._spool = house.spool
        self.share = Share(house.budget)
        self.aside: SpoolFile | None = None

    def attach(self, transport: asyncio.ReadTransport) -> None:
        """Read from this transport from now on."""
        self._transport = transport

    def read(self, *, on: bool) -> None:
        """Let the client say more, or wait."""
        transport = self._transport
        if on is self._is_reading or self.is_ended or transport is None or transport.is_closing():
            return
        self._is_reading = on
        if on:
            transport.resume_reading()
        else:
            transport.pause_reading()

    def end(self) -> None:
        """The client says nothing any more, or is gone."""
        self.is_ended = True
        self._more.open()

    def feed(self, octets: bytes) -> None:
        """Take octets from the client; stop reading if more came than can be needed."""
        self._more.open()
        if self._inflater is None:
            self._framer.feed(octets)
        else:
            self._inflater.feed(octets)
        packed = self._inflater.held if self._inflater is not None else 0
        if self._framer.is_full or packed > MAX_LINE_OCTETS:
            self.read(on=False)

    @property
    def held(self) -> int:
        """Octets that were fed and not yet returned."""
        return self._framer.held

    @property
    def is_paid(self) -> bool:
        """Our share of the spool holds what is announced."""
        return self.share.covers(self._framer.announced)

    @property
    def is_empty(self) -> bool:
        """All that came was looked at."""
        return not self._framer.held and self._inflater is None

    async def afford(self) -> bool:
        """See to our share of the spool for what is announced, and say whether we had to ask for it.

        We wait without reading on.
        """
        if self.is_paid:
            return False
        self.read(on=False)
        await self.share.take(self._framer.announced)
        if self._outlet.is_lost:
            raise ConnectionLost
        self.read(on=True)
        return True

    async def wait_for_line(self) -> bytes:
        """Return the next line alone; raise `ConnectionLost` or `Farewell`."""
        while (line := self.line()) is None:
            if self.is_ended or self._outlet.is_lost:
                raise ConnectionLost
            self._outlet.flush()
            self._more.close()
            self.read(on=True)
            await self._more.wait()
        return line

    def line(self) -> bytes | None:
        """Return the next line alone, None if it is not there; raise `Farewell` if none can be."""
        try:
            while (line := self._framer.line()) is None and self._inflate():
                pass
        except BadCompression as error:
            raise Farewell("Bad compression") from error
        if isinstance(line, Hopeless):
            raise Farewell(line.reason)
        if line is None:
            self.read(on=True)  # all that came was looked at
        return line

    def frame(self) -> Event | Swallowed | None:
        """Return what comes next, None if more octets are needed."""
        try:
            for _ in range(PORTIONS_AT_ONCE):
                if (event := self._framer.frame()) is not None:
                    return event
                if not self._inflate():
                    self.read(on=True)  # all that came was looked at
                    return None
        except BadCompression:
            return Hopeless("Bad compression")
        return Swallowed()

    def _inflate(self) -> bool:
        if self._inflater is None:
            return False
        portion = self._inflater.portion()
        self._framer.feed(portion)
        return bool(portion)

    async def put_aside(self, octets: bytes) -> None:
        """Write the next octets of a large message into the spool; raise `Farewell` if that fails."""
        try:
            if self.aside is None:
                self.aside = await self._spool.create()
            await self.aside.append(octets)
        except OSError as error:
            log.warning("message not put aside", reason=str(error))
            raise Farewell("No room for large messages, try again later") from error

    def forget(self) -> None:
        """The command was answered: nothing of it is kept."""
        self.share.give_back()
        if self.aside is not None:
            self.aside.close()
            self.aside = None

    def trust(self, who: Guest | None, *, on: bool) -> None:
        """Somebody has logged in, or out: how large literals may be, and whose they are."""
        self._framer.is_trusted = on
        self.share.who = who

    def begin_inflating(self) -> None:
        """What comes from now on is compressed, and so is what came early."""
        self._inflater = Inflater(self._framer.take_all())

    def end_inflating(self) -> None:
        """What comes from now on is not compressed any more."""
        if self._inflater is not None:
            rest, self._inflater = self._inflater.rest(), None
            self._framer.feed(rest)
