"""Framing: command lines and message content out of a stream of octets (RFC 5321 §2.3.8, §4.5.2).

Only <CR><LF> ends a line and only <CR><LF>.<CR><LF> ends a message. Servers that also took a bare
CR or LF there let one message carry another past its neighbours ("SMTP smuggling"): here such a
message is read to its true end and refused whole, and a command line with one ends the session.
"""

from __future__ import annotations

from ingress_smtp import replies
from ingress_smtp.replies import Reply
from posthouse.credentials.sasl import MAX_RESPONSE_OCTETS

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


class Content:
    """The message behind 354, read in chunks of any size.

    Attributes:
        octets: What was received; still with its dots doubled and, at the end, ``.<CR><LF>``.
        refusal: Why it will be refused, None so far; then nothing more is kept.
        dropped: Octets that were read and thrown away since.
    """

    def __init__(self, limit: int) -> None:
        self.octets = bytearray()
        self.refusal: Reply | None = None
        self.dropped = 0
        self._limit = limit
        self._scanned = 0

    def feed(self, chunk: bytes) -> int | None:
        """Take ``chunk``; return None, or how many octets of it lie behind the end."""
        self.octets += chunk
        end = self._find_end()
        if end < 0:
            self._scanned = max(0, len(self.octets) - len(_END) + 1)
            # Doubled dots do not count (RFC 1870 §5): at worst every line is one, ``.<CR><LF>``.
            if self.refusal is None and len(self.octets) > self._limit * 4 // 3 + len(_END):
                self.refuse(replies.TOO_LARGE)
            elif self.refusal is not None:
                self._drop()
            return None
        behind = len(self.octets) - end
        del self.octets[end:]
        return behind

    def refuse(self, reply: Reply) -> None:
        """Keep nothing more; the first reason is the one that the client is told."""
        if self.refusal is None:
            self.refusal = reply
        self._drop()

    def _drop(self) -> None:
        """Forget all but the octets in which the end may have begun."""
        keep = len(_END) - 1
        if len(self.octets) > keep:
            self.dropped += len(self.octets) - keep
            del self.octets[:-keep]
            self._scanned = 0

    def _find_end(self) -> int:
        """Return where the message's last line end stands behind ``.``, -1 if not yet."""
        if not self.dropped and self.octets.startswith(b".\r\n"):
            return 3
        at = self.octets.find(_END, self._scanned)
        return -1 if at < 0 else at + len(_END)

    def message(self) -> bytes:
        """Return the message: without the end and the doubled dots (RFC 5321 §4.5.2)."""
        octets = bytes(memoryview(self.octets)[:-3])
        if octets.startswith(b"."):
            octets = octets[1:]
        return octets.replace(b"\r\n.", b"\r\n") if b"\r\n." in octets else octets
