"""Framing: command lines and message content out of a stream of octets (RFC 5321 §2.3.8, §4.5.2).

Only <CR><LF> ends a line and only <CR><LF>.<CR><LF> ends a message. Servers that also took a bare
CR or LF there let one message carry another past its neighbours ("SMTP smuggling"): here such a
message is read to its true end and refused whole, and a command line with one ends the session.
"""

from __future__ import annotations

from ingress_smtp import replies
from ingress_smtp.replies import Reply
from posthouse.credentials.exchange import MAX_RESPONSE_OCTETS

MAX_COMMAND_OCTETS = 2048  # RFC 5321 §4.5.3.1.4 asks 512, extensions add to it
MAX_AUTH_OCTETS = MAX_RESPONSE_OCTETS + 64  # RFC 4954 §4: response, verb and mechanism
DRAIN_OCTETS = 16 * 1024 * 1024  # of a refused message are read on before we hang up

_END = b"\r\n.\r\n"


class BadLine(Exception):
    """A command line that cannot be read.

    Attributes:
        reply: What the client is told.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


def take_line(buffer: bytearray, limit: int = MAX_COMMAND_OCTETS) -> bytes | None:
    """Take the first line off ``buffer``, without its end; None if no line end is in sight.

    Raises `BadLine`, with the line taken off, if it is over ``limit`` octets or has a CR, LF or
    NUL where none may be.
    """
    end = buffer.find(b"\n")
    if end < 0:
        return None
    line = bytes(buffer[:end])
    del buffer[: end + 1]
    if line.find(b"\r") != end - 1 or not end:
        raise BadLine(replies.BARE_LINE_END)
    if end + 1 > limit:
        raise BadLine(replies.LINE_TOO_LONG)
    if b"\0" in line:
        raise BadLine(replies.UNKNOWN_COMMAND)
    return line[:-1]


def skip_line(buffer: bytearray) -> bool:
    """Throw octets away up to the end of the line; False if that is not yet in sight."""
    end = buffer.find(b"\n")
    del buffer[: end + 1 if end >= 0 else len(buffer)]
    return end >= 0


class Dots:
    """The content behind 354 as it comes, in portions of any size (RFC 5321 §4.5.2)."""

    def __init__(self) -> None:
        # What may be the beginning of an end, or of a doubled dot, waits for the next portion. A
        # dot on the first line counts as well, as if a line had ended before.
        self._held = b"\r\n"
        self._invented = 2  # octets of it that nobody sent

    def feed(self, portion: bytes) -> tuple[bytes, int | None]:
        """Return the content in ``portion``, and None or how many of its octets lie behind the end.

        Doubled dots are single again, and the end is no content but for its first line end.
        """
        octets = self._held + portion
        is_plain = not octets.endswith(b".\r\n") and b"\r\n." not in octets
        end = -1 if is_plain else octets.find(_END)
        if end >= 0:
            behind = len(octets) - end - len(_END)
            octets = octets[: end + 2]
        else:
            behind = None
            keep = _beginning_of_end(octets)
            self._held = octets[len(octets) - keep :]
            octets = octets[: len(octets) - keep]
        if not is_plain:
            octets = octets.replace(b"\r\n.", b"\r\n")
        if self._invented and octets:
            octets, self._invented = octets[self._invented :], 0
        return octets, behind


def _beginning_of_end(octets: bytes) -> int:
    """Return how many of the last octets may be the beginning of an end."""
    for length in range(len(_END) - 1, 0, -1):
        if octets.endswith(_END[:length]):
            return length
    return 0
