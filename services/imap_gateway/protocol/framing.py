"""Framing: from octets as they arrive to complete commands, before any grammar (RFC 3501 §2.2.1).

A command is one line, or several with literals between them: ``{n}`` waits for our go-ahead,
``{n+}`` does not (RFC 7888 §4). The framer looks only for line ends and literal sizes, and is the
one place that bounds what a client may make us hold. A message that is larger than a few pages is
not held: its octets come out as `Part` to be put aside, the command tells of them as `Aside`.

It is pulled: `feed` takes octets, `frame` and `line` give what is complete, so a line that answers
a challenge is never mistaken for a command, and whoever switches to TLS sees what came too early.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from imap_gateway.protocol.octets import Aside

MAX_LINE_OCTETS = 65_536  # RFC 7162 §4 asks for at least 8192; long sequence sets need more
MAX_EARLY_LITERAL_OCTETS = 8192  # before login: a name and a password
MAX_LITERAL_OCTETS = 65_536  # after login, all literals of a command but appended messages
HELD_OCTETS = 131_072  # a larger message is put aside
ALL_HELD_OCTETS = 262_144  # as is what comes when so much of the command is held
PART_OCTETS = 65_536  # no less is put aside at once, but for the rest
MESSAGES_FACTOR = 4  # all that one command may put aside: so many times the largest message
SWALLOW_FACTOR = 4  # a refused LITERAL+ of more than so many times the limit ends the connection

_LITERAL_AT_END = re.compile(rb"\{(\d{1,20})(\+?)\}\r?\n\Z")
_CARRIER = re.compile(rb"[^ ]+ (?:APPEND|(?:UID )?REPLACE) ", re.IGNORECASE)
_TAG = re.compile(rb"[\x21\x23\x24\x26\x27\x2c-\x5b\x5d-\x7a\x7c-\x7e]{1,256}(?= )")


@dataclass(frozen=True, slots=True)
class Frame:
    """A complete command: its lines and literals as they came, without the last line end.

    Attributes:
        octets: All but what was put aside.
        aside: What was.
    """

    octets: bytes
    aside: tuple[Aside, ...] = ()


@dataclass(frozen=True, slots=True)
class GoAhead:
    """The client waits for a continuation request before it sends a literal."""


@dataclass(frozen=True, slots=True)
class Part:
    """The next octets of a message that is to be put aside."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A literal was larger than allowed; the command is forgotten, the connection goes on.

    Attributes:
        tag: Of the command; ``*`` if it had none.
    """

    tag: bytes


@dataclass(frozen=True, slots=True)
class Hopeless:
    """The client cannot be followed any further: the connection must end.

    Attributes:
        reason: What to say in BYE.
    """

    reason: str


Event: TypeAlias = Frame | GoAhead | Part | TooLarge | Hopeless


class Framer:
    """The octets of one connection.

    Attributes:
        is_trusted: Somebody has logged in: larger literals are allowed.
    """

    __slots__ = ("_aside", "_away", "_buffer", "_lines", "_literals", "_message_octets", "_refused",
                 "_skip", "_start", "is_trusted")  # fmt: skip

    def __init__(self, message_octets: int) -> None:
        self.is_trusted = False
        self._message_octets = message_octets
        self._buffer = bytearray()
        self._start = 0  # where the line that is being read begins, after literals
        self._lines = 0  # octets of the command's lines so far
        self._literals = 0  # octets of the command's literals so far, of those that are held
        self._aside: list[Aside] = []  # those that are not
        self._away = 0  # octets that are still to come of the last of them
        self._skip = 0  # octets of a refused literal still to be thrown away
        self._refused: bytes | None = None  # the tag of the command that they belong to

    def feed(self, octets: bytes) -> None:
        """Take octets from the client."""
        if self._skip:
            skipped = min(self._skip, len(octets))
            self._skip -= skipped
            octets = octets[skipped:]
        self._buffer += octets

    def take_all(self) -> bytes:
        """Return what was fed and not yet returned, as if it had not been fed."""
        octets = bytes(self._buffer)
        self._buffer.clear()
        return octets

    @property
    def held(self) -> int:
        """Octets that were fed and not yet returned."""
        return len(self._buffer)

    @property
    def announced(self) -> int:
        """Octets that the command under way has announced so far to be put aside."""
        return self._aside[-1].start + self._aside[-1].size if self._aside else 0

    @property
    def is_full(self) -> bool:
        """True if what is being waited for cannot need more than was fed: stop reading."""
        return len(self._buffer) > max(self._start, 0) + 2 * MAX_LINE_OCTETS

    def line(self) -> bytes | Hopeless | None:
        """Return the next line alone without its end (RFC 3501 §7.5), None if it is not there."""
        end = self._buffer.find(b"\n")
        if end > MAX_LINE_OCTETS or (end < 0 and len(self._buffer) > MAX_LINE_OCTETS):
            return Hopeless("Line too long")
        if end < 0:
            return None
        line = bytes(self._buffer[: end + 1]).rstrip(b"\r\n")
        del self._buffer[: end + 1]
        return line

    def frame(self) -> Event | None:
        """Return what comes next, None if more octets are needed."""
        while self._buffer:
            if self._away or self._skip or self._start > len(self._buffer):
                return self._part()
            end = self._buffer.find(b"\n", self._start)
            length = (end + 1 if end >= 0 else len(self._buffer)) - self._start
            if self._lines + length > MAX_LINE_OCTETS:
                return Hopeless("Command line too long")
            if end < 0:
                break
            tail = self._buffer[max(self._start, end - 26) : end + 1]
            literal = _LITERAL_AT_END.search(tail) if b"}" in tail else None
            if literal is None:
                return self._complete(end)
            self._lines += length
            event = self._literal(int(literal[1]), end + 1, is_waiting=not literal[2])
            if event is not None:
                return event
        return None

    def _part(self) -> Part | None:
        """Return what is to be put aside, if it is enough."""
        here = min(self._away, len(self._buffer) - self._start)
        if not here or here < min(self._away, PART_OCTETS):
            return None
        octets = bytes(memoryview(self._buffer)[self._start : self._start + here])
        del self._buffer[self._start : self._start + here]
        self._away -= here
        return Part(octets)

    def _complete(self, end: int) -> Event:
        # Never the CR that ends a literal.
        has_cr = end > self._start and self._buffer[end - 1] == 0x0D
        octets = bytes(memoryview(self._buffer)[: end - has_cr])
        del self._buffer[: end + 1]
        refused, aside = self._refused, tuple(self._aside)
        self._reset()
        if refused is not None:
            return TooLarge(refused)
        return Frame(octets, aside)

    def _literal(self, size: int, begins: int, *, is_waiting: bool) -> Event | None:
        """A literal of ``size`` octets is announced: ask for it, take it, refuse it."""
        is_carrier = self.is_trusted and _CARRIER.match(self._buffer) is not None
        limit = self._message_octets if is_carrier else self._limit()
        so_far = self.announced if is_carrier else self._literals
        most = MESSAGES_FACTOR * limit if is_carrier else limit
        if self._refused is not None or size > limit or so_far + size > most:
            return self._refuse(size, begins, limit, is_waiting=is_waiting)
        if is_carrier and (size > HELD_OCTETS or self._literals + size > ALL_HELD_OCTETS):
            self._aside.append(Aside(at=begins, start=self.announced, size=size))
            self._away, self._start = size, begins
        else:
            self._literals += size
            self._start = begins + size
        return GoAhead() if is_waiting else None

    def _limit(self) -> int:
        return MAX_LITERAL_OCTETS if self.is_trusted else MAX_EARLY_LITERAL_OCTETS

    def _refuse(self, size: int, begins: int, limit: int, *, is_waiting: bool) -> Event | None:
        """RFC 7888 §4: a literal that is under way is read to its end or the connection ended."""
        tag = _TAG.match(self._buffer)
        name = self._refused or (tag[0] if tag else b"*")
        if is_waiting:
            del self._buffer[:begins]
            self._reset()
            return TooLarge(name)
        if not self.is_trusted or size > SWALLOW_FACTOR * limit:
            return Hopeless("Literal too large")
        self._refused = name
        here = min(size, len(self._buffer) - begins)
        del self._buffer[: begins + here]
        self._skip = size - here
        self._start = 0
        return None

    def _reset(self) -> None:
        self._start = self._lines = self._literals = 0
        self._aside = []
        self._refused = None
