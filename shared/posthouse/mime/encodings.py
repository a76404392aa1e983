"""Octets of a part in base64 or quoted-printable, as they come, in portions of bounded size (RFC 2045 §6).

Whoever decodes it gets the same octets: nothing is taken for a line end but CRLF, and what is no
line end is encoded. No line is longer than 76 characters, none ends in white space.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from posthouse.mime.pages import Octets

_LINE_OCTETS = 57  # of the part in a line of base64, RFC 2045 §6.8
_LINE_CHARACTERS = 76
PORTION_OCTETS = _LINE_OCTETS * 4096

_CRLF = b"\r\n"
_PLAIN = b"\t\r\n" + bytes(octet for octet in range(32, 127) if octet != ord("="))
# What cannot stand for itself: odd octets, white space at an end, half a line end (§6.7, rules 1 to 4).
_UNUSUAL = re.compile(rb"[^\t\r\n -<>-~]|[\t ](?=\r\n|\Z)|\r(?!\n)|(?<!\r)\n")
_LONG = re.compile(rb"[^\r\n]{77,}")
_ESCAPES = tuple(b"=%02X" % octet for octet in range(256))


def copied(octets: Octets, start: int, end: int) -> Iterator[bytes]:
    """Yield the octets from ``start`` to ``end`` as they are."""
    for at in range(start, end, PORTION_OCTETS):
        yield octets[at : min(at + PORTION_OCTETS, end)]


def shorter_encoding(octets: Octets, start: int, end: int) -> bytes:
    """Return in which encoding these octets are shorter, about: 4 for 3 octets, or 3 for odd ones."""
    odd = sum(len(portion.translate(None, _PLAIN)) for portion in copied(octets, start, end))
    return b"base64" if odd * 6 > end - start else b"quoted-printable"


def in_base64(octets: Octets, start: int, end: int) -> Iterator[bytes]:
    """Yield lines of base64 with line ends between them, none behind the last (§6.8)."""
    for portion in copied(octets, start, end):
        characters = binascii.b2a_base64(portion, newline=False)
        starts = range(0, len(characters), _LINE_CHARACTERS)
        lines = [characters[at : at + _LINE_CHARACTERS] for at in starts]
        start += len(portion)
        yield _CRLF.join(lines) + (_CRLF if start < end else b"")


def in_quoted_printable(octets: Octets, start: int, end: int) -> Iterator[bytes]:
    """Yield lines of quoted-printable (§6.7); a line that a portion cuts has a soft line break there."""
    at = start
    while at < end:
        portion = octets[at : min(at + PORTION_OCTETS, end)]
        if at + len(portion) < end:
            portion = portion[: portion.rfind(_CRLF) + 2 if _CRLF in portion else -1]
        at += len(portion)
        if at == end or portion.endswith(_CRLF):
            yield _quoted(portion)
        else:  # one octet more keeps the place for the break
            yield _quoted(portion + b"x")[:-1] + b"=\r\n"


def _quoted(octets: bytes) -> bytes:
    return _LONG.sub(_folded, _UNUSUAL.sub(lambda each: _ESCAPES[each[0][0]], octets))


def _folded(line: re.Match[bytes]) -> bytes:
    """Return a line in pieces with a ``=`` at their ends (rule 5); no escape is cut in two."""
    text, pieces, at = line[0], [], 0
    while at < len(text):
        end = at + _LINE_CHARACTERS - 1
        if end < len(text):
            end = max(text.rfind(b"=", end - 2, end), 0) or end
        pieces.append(text[at:end])
        at = end
    return b"=\r\n".join(pieces)
