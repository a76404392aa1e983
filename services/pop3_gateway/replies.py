"""Replies of POP3 as they go on the wire (RFC 1939 §3). Pure."""

from __future__ import annotations

from collections.abc import Iterable

END = b".\r\n"


def ok(text: str = "") -> bytes:
    """Say that it worked; text is ASCII unless the client chose a language (RFC 6856 §3.2)."""
    return f"+OK {text}\r\n".encode() if text else b"+OK\r\n"


def err(text: str, code: str = "") -> bytes:
    """Say that it did not; ``code`` is a response code (RFC 2449 §8, RFC 3206)."""
    return f"-ERR [{code}] {text}\r\n".encode() if code else f"-ERR {text}\r\n".encode()


def lines(found: Iterable[bytes]) -> bytes:
    """Write lines of our own, which never begin with a dot, and the end."""
    return b"".join(line + b"\r\n" for line in found) + END


def whole(reply: bytes, octets: bytes) -> bytes:
    """Write ``octets``, all there are, as a multi-line response behind its first line."""
    stuffing = Stuffing()
    return b"".join((reply, stuffing.feed(octets), stuffing.finish()))


class Stuffing:
    """Writes octets as a multi-line response, chunk by chunk (RFC 1939 §3).

    A dot at the beginning of a line is doubled; also behind a bare LF, which some clients take
    for the end of a line, so that no message can end its own transmission.
    """

    def __init__(self) -> None:
        self._is_at_line_start = True

    def feed(self, chunk: bytes) -> bytes:
        """Return ``chunk`` stuffed."""
        if not chunk:
            return b""
        stuffed = chunk.replace(b"\n.", b"\n..")
        if self._is_at_line_start and chunk.startswith(b"."):
            stuffed = b"." + stuffed
        self._is_at_line_start = chunk.endswith(b"\n")
        return stuffed

    def finish(self) -> bytes:
        """Return the end, on a line of its own."""
        return END if self._is_at_line_start else b"\r\n" + END
