"""Mailbox names on the wire: modified UTF-7 (RFC 3501 §5.1.3)."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode

from imap_gateway.protocol.cursor import BadSyntax

_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)-")
_PLAIN = re.compile(rb"[\x20-\x25\x27-\x7e]*")
_NEEDS_SHIFT = re.compile(r"[^\x20-\x7e]+|&")


def decode(wire: bytes) -> str:
    """Return the name that ``wire`` stands for; raise `BadSyntax` if it is no name's only form."""
    text, at = "", 0
    while at < len(wire):
        plain = _PLAIN.match(wire, at)
        if plain is not None and plain[0]:
            text, at = text + plain[0].decode("ascii"), plain.end()
            continue
        shifted = _SHIFTED.match(wire, at)
        if shifted is None:
            raise BadSyntax("mailbox name is not modified UTF-7")
        text, at = text + _unshift(shifted[1]), shifted.end()
    if encode(text) != wire:  # one name, one form: superfluous shifts make doubles
        raise BadSyntax("mailbox name is not modified UTF-7")
    return text


def _unshift(coded: bytes) -> str:
    if not coded:
        return "&"
    try:
        octets = b64decode(coded.replace(b",", b"/") + b"=" * (-len(coded) % 4), validate=True)
        return octets.decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadSyntax("mailbox name is not modified UTF-7") from error


def encode(name: str) -> bytes:
    """Return ``name`` as it goes on the wire."""
    return _NEEDS_SHIFT.sub(_shift, name).encode("ascii")


def _shift(match: re.Match[str]) -> str:
    if match[0] == "&":
        return "&-"
    octets = match[0].encode("utf-16-be", "surrogatepass")
    return "&" + b64encode(octets).rstrip(b"=").replace(b"/", b",").decode("ascii") + "-"
