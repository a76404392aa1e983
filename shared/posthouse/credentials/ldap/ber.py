"""BER (X.690) as far as LDAP uses it: definite lengths, tags of one octet (RFC 4511 §5.1). Pure."""

from __future__ import annotations

from collections.abc import Iterator

BOOLEAN, INTEGER, OCTET_STRING, ENUMERATED, SEQUENCE, SET = 0x01, 0x02, 0x04, 0x0A, 0x30, 0x31
MAX_LENGTH_OCTETS = 4  # of the length of a value
_LONG_FORM = 0x80  # X.690 §8.1.3.5: the number of octets of the length follows
_MANY_OCTETS_TAG = 0x1F  # X.690 §8.1.2.4: LDAP has no such


class BadOctets(ValueError):
    """Not BER as LDAP uses it."""


def element(tag: int, *contents: bytes) -> bytes:
    """Return one element: tag, length, contents."""
    body = b"".join(contents)
    return bytes((tag,)) + _length(len(body)) + body


def integer(number: int, tag: int = INTEGER) -> bytes:
    """Return a number that is not negative."""
    return element(tag, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def text(value: str | bytes, tag: int = OCTET_STRING) -> bytes:
    """Return an octet string; a str goes as UTF-8 (LDAPString, RFC 4511 §4.1.2)."""
    return element(tag, value.encode() if isinstance(value, str) else value)


def boolean(*, value: bool, tag: int = BOOLEAN) -> bytes:
    """Return TRUE as the one octet that LDAP allows (RFC 4511 §5.1)."""
    return element(tag, b"\xff" if value else b"\0")


def _length(number: int) -> bytes:
    if number < _LONG_FORM:
        return bytes((number,))
    octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes((_LONG_FORM | len(octets),)) + octets


def length_follows(first: int) -> int:
    """Return how many octets of length follow the octet ``first`` of it; 0 if it is the length.

    Raises `BadOctets` for the indefinite form and for more than anything of ours can have.
    """
    if first < _LONG_FORM:
        return 0
    following = first - _LONG_FORM
    if not 1 <= following <= MAX_LENGTH_OCTETS:
        raise BadOctets("a length that LDAP does not use")
    return following


def elements(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and contents of each element in ``octets``; raise `BadOctets`."""
    at = 0
    while at < len(octets):
        tag, contents, at = _read(octets, at)
        yield tag, contents


def _read(octets: bytes, at: int) -> tuple[int, bytes, int]:
    if at + 2 > len(octets) or octets[at] & _MANY_OCTETS_TAG == _MANY_OCTETS_TAG:
        raise BadOctets("cut short, or a tag that LDAP does not have")
    following = length_follows(octets[at + 1])
    begin = at + 2 + following
    size = int.from_bytes(octets[at + 2 : begin], "big") if following else octets[at + 1]
    if begin + size > len(octets):
        raise BadOctets("cut short")
    return octets[at], octets[begin : begin + size], begin + size
