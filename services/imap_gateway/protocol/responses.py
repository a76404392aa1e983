"""What the server says, as octets (RFC 3501 §7 and §9 response)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from imap_gateway.protocol import mutf7
from imap_gateway.protocol.words import MONTHS

_PLAIN = re.compile(rb"[\x20\x21\x23-\x5b\x5d-\x7e]*")
_ATOM = re.compile(rb"(?!NIL\Z)[A-Za-z0-9./_-]+", re.IGNORECASE)  # NIL is nothing, "NIL" a name
_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*")


def string(octets: bytes) -> bytes:
    """``string``: quoted where that is possible, else a literal."""
    if _PLAIN.fullmatch(octets):
        return b'"' + octets + b'"'
    if _QUOTABLE.fullmatch(octets):
        return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return literal(octets)


def string8(octets: bytes) -> bytes:
    """``string / literal8``: what holds NUL is a literal8 (RFC 3516 §7)."""
    return b"~" + literal(octets) if b"\0" in octets else string(octets)


def astring(octets: bytes) -> bytes:
    """``astring``: an atom where that is possible."""
    return octets if _ATOM.fullmatch(octets) else string(octets)


def literal(octets: bytes) -> bytes:
    """``literal``."""
    return b"{%d}\r\n%b" % (len(octets), octets)


def mailbox(name: str, *, is_utf8: bool) -> bytes:
    """``mailbox``: modified UTF-7 or, quoted, UTF-8 (RFC 6855 §3); a plain atom stays one."""
    wire = name.encode() if is_utf8 else mutf7.encode(name)
    if _ATOM.fullmatch(wire):
        return wire
    return (
        b'"' + wire.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        if is_utf8
        else string(wire)
    )


def listed(
    command: bytes,
    attributes: Iterable[str],
    name: bytes,
    criteria: Sequence[str] = (),
    *,
    more: bytes = b"",
) -> bytes:
    """``mailbox-list`` of LIST and LSUB (RFC 3501 §7.2.2), with CHILDINFO (RFC 5258 §3.5).

    ``name`` is as it is shown to this client, ``more`` as `oldname` makes it.
    """
    if criteria:
        more = b' ("CHILDINFO" (%b))' % b" ".join(b'"%b"' % one.encode() for one in criteria)
    flags = " ".join(attributes).encode()
    return b'* %b (%b) "/" %b%b\r\n' % (command, flags, name, more)


def told_up_to(step: int) -> bytes:
    """Return the response that says which step of the mailbox the client knows all of (RFC 7162 §3.1)."""
    return untagged(b"OK [HIGHESTMODSEQ %d] Told up to here" % step)


def oldname(name: bytes) -> bytes:
    """``oldname-extended-item`` at the end of a LIST response (RFC 9051 §6.3.9.7)."""
    return b' ("OLDNAME" (%b))' % name


def date_time(when: datetime) -> bytes:
    """``date-time`` with its quotes, as INTERNALDATE has it."""
    return b'"%2d-%b-%04d %02d:%02d:%02d %b"' % (
        when.day, MONTHS[when.month - 1].encode(), when.year, when.hour, when.minute, when.second,
        when.strftime("%z").encode(),
    )  # fmt: skip


def untagged(text: bytes) -> bytes:
    """A line that is no answer to a command alone."""
    return b"* %b\r\n" % text


def status(tag: bytes, word: bytes, text: str, code: bytes = b"") -> bytes:
    """A status response, e.g. ``a1 OK [READ-WRITE] SELECT done`` (RFC 3501 §7.1)."""
    shown = b"[%b] " % code if code else b""
    return b"%b %b %b%b\r\n" % (tag, word, shown, text.encode("ascii", "replace"))
