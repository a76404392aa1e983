"""The messages of LDAP that a login needs (RFC 4511 §4), as octets and as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from posthouse.credentials.ldap.ber import (
    ENUMERATED,
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    SET,
    BadOctets,
    boolean,
    element,
    elements,
    integer,
    text,
)

VERSION = 3
START_TLS = "1.3.6.1.4.1.1466.20037"  # RFC 4511 §4.14.1
MAX_ENTRIES = 2  # of a search; the second one tells that the first is not the only one

_BIND, _BOUND, _UNBIND = 0x60, 0x61, 0x42
_SEARCH, _ENTRY, _SEARCHED, _REFERENCE = 0x63, 0x64, 0x65, 0x73
_EXTENDED, _EXTENDED_DONE = 0x77, 0x78
_SIMPLE = 0x80  # AuthenticationChoice (§4.2)
_REQUEST_NAME = 0x80  # ExtendedRequest (§4.12)
_SUBTREE, _NEVER_DEREFERENCE = 2, 0


@dataclass(frozen=True, slots=True)
class Result:
    """How a request ended (§4.1.9).

    Attributes:
        code: See `Code` in the RFC; 0 is success.
        text: What the server says about it, for the log.
    """

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One that was found.

    Attributes:
        name: Its distinguished name.
        attributes: Values by the attribute's name in lower case.
    """

    name: str
    attributes: Mapping[str, tuple[bytes, ...]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reference:
    """Something may be found at another server (§4.5.3); it is not followed."""


Answer: TypeAlias = Result | Entry | Reference


def bind(number: int, name: str, password: str) -> bytes:
    """Return a simple bind (§4.2). An empty password would bind nobody, successfully (§4.2.1)."""
    if not password:
        raise ValueError("a bind without a password proves nothing")
    return _message(number, element(_BIND, integer(VERSION), text(name), text(password, _SIMPLE)))


def search(number: int, base: str, filter_: bytes, attributes: Sequence[str]) -> bytes:
    """Return a search of a whole subtree for one entry (§4.5.1)."""
    request = (
        text(base),
        integer(_SUBTREE, ENUMERATED),
        integer(_NEVER_DEREFERENCE, ENUMERATED),
        integer(MAX_ENTRIES),
        integer(0),  # the time is limited by us
        boolean(value=False),
        filter_,
        element(SEQUENCE, *map(text, attributes)),
    )
    return _message(number, element(_SEARCH, *request))


def start_tls(number: int) -> bytes:
    """Return the wish for TLS (§4.14)."""
    return _message(number, element(_EXTENDED, text(START_TLS, _REQUEST_NAME)))


def unbind(number: int) -> bytes:
    """Return the farewell (§4.3)."""
    return _message(number, element(_UNBIND))


def _message(number: int, request: bytes) -> bytes:
    return element(SEQUENCE, integer(number), request)


def read(contents: bytes) -> tuple[int, Answer]:
    """Read the contents of an LDAPMessage (§4.1.1): its number and what it says.

    Raises `BadOctets` if it is none, or one that no request of ours leads to.
    """
    parts = list(elements(contents))
    if len(parts) < 2 or parts[0][0] != INTEGER:  # noqa: PLR2004 - number, answer, controls
        raise BadOctets("not an LDAP message")
    number = int.from_bytes(parts[0][1], "big")
    tag, answer = parts[1]
    match tag:
        case _ if tag in {_BOUND, _SEARCHED, _EXTENDED_DONE}:
            return number, _result(answer)
        case _ if tag == _ENTRY:
            return number, _entry(answer)
        case _ if tag == _REFERENCE:
            return number, Reference()
        case _:
            raise BadOctets("an answer to no request of ours")


def _result(octets: bytes) -> Result:
    """``LDAPResult = resultCode, matchedDN, diagnosticMessage`` and more (§4.1.9)."""
    parts = list(elements(octets))
    if [tag for tag, _ in parts[:3]] != [ENUMERATED, OCTET_STRING, OCTET_STRING]:
        raise BadOctets("not a result")
    said = parts[2][1].decode(errors="replace")
    return Result(int.from_bytes(parts[0][1], "big"), said)


def _entry(octets: bytes) -> Entry:
    """``SearchResultEntry = objectName, attributes`` (§4.5.2)."""
    match list(elements(octets)):
        case [(int(name_tag), name), (int(list_tag), listed)] if (
            name_tag == OCTET_STRING and list_tag == SEQUENCE
        ):
            return Entry(_text(name), dict(_attribute(each) for _, each in elements(listed)))
        case _:
            raise BadOctets("not an entry")


def _attribute(octets: bytes) -> tuple[str, tuple[bytes, ...]]:
    """``PartialAttribute = type, vals`` (§4.1.7)."""
    match list(elements(octets)):
        case [(int(name_tag), name), (int(set_tag), values)] if (
            name_tag == OCTET_STRING and set_tag == SET
        ):
            return _text(name).lower(), tuple(value for _, value in elements(values))
        case _:
            raise BadOctets("not an attribute")


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise BadOctets("a name that is not UTF-8") from error
