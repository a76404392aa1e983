"""Surrogates: internationalized messages for clients that know only ASCII headers (RFC 6858).

A field whose text is UTF-8 beyond ASCII is written anew, in ASCII, as the octets pass by; everything
else goes through untouched. Octets beyond ASCII that are no UTF-8 are no internationalized text
(RFC 6532 §3.1) but rubbish in a charset that nobody knows: they stay too.

More is kept than RFC 6858 §2 asks for: texts become encoded words (RFC 2047), MIME parameters
extended ones (RFC 2231 §4); only what must not be guessed at, as a Message-ID, is left out.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import quote_from_bytes

from posthouse.mime.addresses import Mailbox, parse_addresses
from posthouse.mime.fields import unfold
from posthouse.mime.parameters import Parametric, parse_content_type, parse_disposition
from posthouse.mime.parts import Range

WINDOW_OCTETS = 65_536  # of a header, looked at together
MAX_FIELD_OCTETS = 262_144  # of a longer field each octet beyond ASCII becomes a question mark
_WORD_OCTETS = 45  # of text: 60 characters of base64, so that a word keeps below 75 (RFC 2047 §2)
_NOBODY = b"<invalid@internationalized.invalid>"  # can never be anybody's (RFC 6858 §2.1)

_ADDRESSES = frozenset(
    {b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"resent-from", b"resent-sender",
     b"resent-to", b"resent-cc", b"resent-bcc"}
)  # fmt: skip
# Programs act upon these: what cannot be said exactly is not said (RFC 6858 §2.4).
_EXCISED = frozenset(
    {b"message-id", b"in-reply-to", b"references", b"content-id", b"received", b"return-path",
     b"delivered-to", b"date", b"content-transfer-encoding", b"disposition-notification-to"}
)  # fmt: skip
_PARAMETRIC = {b"content-type": parse_content_type, b"content-disposition": parse_disposition}
_FIELDS = re.compile(rb"(?<=\n)(?=[^ \t])")
_QUESTIONED = bytes(range(128)) + b"?" * 128
_SPECIAL = re.compile(rb"[^A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]")


class Surrogate:
    """Writes a message with ASCII headers while its octets pass by, piece by piece.

    Args:
        headers: Where headers lie, ascending: of the message, its parts, the messages in it.
        at: Where the first octet lies that is fed.
    """

    def __init__(self, headers: Iterable[Range], at: int = 0) -> None:
        self._headers = (each for each in headers if at <= each[0] < each[1])
        self._at = at
        self._header = next(self._headers, None)
        self._kept = bytearray()  # of a header
        self._is_too_long = False  # it begins within a field that could not be kept

    def feed(self, octets: bytes) -> bytes:
        """Return what these octets become; a field is kept back until it is whole."""
        written: list[bytes] = []
        while octets:
            if self._header is None:
                written.append(octets)
                break
            start, end = self._header
            length = (end if self._at >= start else start) - self._at
            piece, octets = octets[:length], octets[length:]
            written.append(self._header_piece(piece) if self._at >= start else piece)
            self._at += len(piece)
            if self._at >= end:
                written.append(self.finish())
                self._header, self._is_too_long = next(self._headers, None), False
        return b"".join(written)

    def finish(self) -> bytes:
        """Return what was kept back."""
        return self._written(len(self._kept))

    def _header_piece(self, piece: bytes) -> bytes:
        self._kept += piece
        if len(self._kept) < WINDOW_OCTETS:
            return b""
        if whole := _last_field(self._kept):
            return self._written(whole)
        if len(self._kept) < MAX_FIELD_OCTETS:
            return b""
        self._is_too_long = True
        return self._written(len(self._kept))

    def _written(self, length: int) -> bytes:
        octets = bytes(self._kept[:length])
        del self._kept[:length]
        if not self._is_too_long:
            return ascii_header(octets)
        end = _FIELDS.search(octets)
        self._is_too_long = end is None
        at = end.start() if end else length
        return octets[:at].translate(_QUESTIONED) + ascii_header(octets[at:])


def ascii_header(header: bytes) -> bytes:
    """Return header fields with those that hold UTF-8 beyond ASCII written anew, or left out."""
    if header.isascii():
        return header
    return b"".join(map(_field, _FIELDS.split(header)))


def _last_field(kept: bytearray) -> int:
    """Return where the last field begins, which may not be whole yet; 0 if it is the first."""
    at = len(kept)
    while (at := kept.rfind(b"\n", 0, at)) >= 0:
        if bytes(kept[at + 1 : at + 2]).strip(b" \t"):
            return at + 1
    return 0


def _field(field: bytes) -> bytes:
    if field.isascii() or not _is_utf8(field):
        return field
    name, colon, value = unfold(field).rstrip(b"\n").partition(b":")
    key = name.strip(b" \t").lower()
    if not colon or not name.isascii() or key in _EXCISED:
        return b""
    value = value.strip(b" \t")
    if key in _ADDRESSES:
        return _folded(name, _addresses(value), b",\r\n ")
    if key in _PARAMETRIC:
        return _folded(name, _parameters(_PARAMETRIC[key](value)), b";\r\n ")
    return _folded(name, [encoded_words(value)], b"")


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def encoded_words(text: bytes) -> bytes:
    """Return UTF-8 ``text`` as encoded words, one a line (RFC 2047 §2, §5)."""
    words, word = [], b""
    for letter in text.decode(errors="replace"):
        octets = letter.encode()
        if len(word) + len(octets) > _WORD_OCTETS:
            words.append(word)
            word = b""
        word += octets
    return b"\r\n ".join(b"=?utf-8?b?%b?=" % b64encode(each) for each in [*words, word])


def _folded(name: bytes, items: list[bytes], between: bytes) -> bytes:
    return b"%b: %b\r\n" % (name, between.join(items)) if items else b""


def _addresses(value: bytes) -> list[bytes]:
    """Return the addresses; one that is not ASCII becomes nobody's, and says whose it was."""
    return [_address(each) for each in parse_addresses(value) if each.host is not None]


def _address(mailbox: Mailbox) -> bytes:
    name, local, host = mailbox.name, mailbox.local or b"", mailbox.host or b""
    if local.isascii() and host.isascii():
        written = local if not _SPECIAL.search(local.replace(b".", b"")) else _quoted(local)
        return b"%b <%b@%b>" % (_phrase(name), written, host) if name else written + b"@" + host
    shown = b"%b@%b" % (local, host)
    return b"%b %b" % (_phrase(b"%b (%b)" % (name, shown) if name else shown), _NOBODY)


def _phrase(name: bytes) -> bytes:
    if not name.isascii():
        return encoded_words(name)
    return _quoted(name) if _SPECIAL.search(name) and b"=?" not in name else name


def _quoted(text: bytes) -> bytes:
    return b'"%b"' % text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _parameters(found: Parametric | None) -> list[bytes]:
    """Return the value and its parameters (RFC 2231 §4); one that is named in UTF-8 is left out."""
    if found is None or not found.value.isascii():
        return []
    return [found.value, *(_parameter(*each) for each in found.parameters if each[0].isascii())]


def _parameter(name: bytes, value: bytes) -> bytes:
    if value.isascii():
        return b"%b=%b" % (name, value if name.endswith(b"*") else _quoted(value))
    extended = quote_from_bytes(value, safe="").encode()
    return b"%b*=utf-8''%b" % (name.rstrip(b"*"), extended)
