"""XCLIENT: a proxy or filter of ours says for whom it speaks. Pure.

(http://www.postfix.org/XCLIENT_README.html.) Listed hosts alone may. What is said takes the place
of what we saw, and the session begins anew: the client is greeted and says EHLO again.

    xclient-command = "XCLIENT" 1*( SP attribute-name"="attribute-value )
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from posthouse.mail.address import BadAddress, parse_address

ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT")
_NOTHING = frozenset({"[UNAVAILABLE]", "[TEMPUNAVAIL]"})
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")  # RFC 3461 §4
_OCTET = re.compile(r"\+([0-9A-F]{2})")
_HELO = re.compile(r"[!-~\u0080-\U0010ffff]{1,255}")
_IPV6 = "IPV6:"
UNKNOWN = "unknown"  # whose address nobody knows


class BadAttributes(Exception):
    """The attributes cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class XClient:
    """What was said; None for what was not.

    Attributes:
        client: The IP address, ``unknown`` if the proxy does not know it either.
        hello: What the client called itself; empty if it did not.
        extended: It spoke ESMTP.
        login: The account that authenticated with the proxy; empty for nobody.
    """

    client: str | None = None
    hello: str | None = None
    extended: bool | None = None
    login: str | None = None


def read_attributes(argument: str) -> XClient:
    """Read the argument of XCLIENT; names of hosts, ports and our own address are not used.

    Raises `BadAttributes`.
    """
    given: dict[str, str] = {}
    for word in argument.split():
        name, _, value = word.partition("=")
        if name.upper() not in ATTRIBUTES or name.upper() in given:
            raise BadAttributes
        given[name.upper()] = "" if value.upper() in _NOTHING else _decoded(value)
    if not given:
        raise BadAttributes
    return XClient(
        client=_address(given["ADDR"]) if "ADDR" in given else None,
        hello=_hello(given["HELO"]) if "HELO" in given else None,
        extended=_protocol(given["PROTO"]) if "PROTO" in given else None,
        login=_account(given["LOGIN"]) if "LOGIN" in given else None,
    )


def _decoded(value: str) -> str:
    """``attribute-value = xtext``."""
    if not _XTEXT.fullmatch(value):
        raise BadAttributes
    octets = _OCTET.sub(lambda found: chr(int(found[1], 16)), value).encode("latin-1")
    try:
        return octets.decode()
    except UnicodeDecodeError as bad:
        raise BadAttributes from bad


def _address(value: str) -> str:
    if not value:
        return UNKNOWN
    is_ipv6 = value[: len(_IPV6)].upper() == _IPV6
    try:
        address = ip_address(value[len(_IPV6) :] if is_ipv6 else value)
    except ValueError as bad:
        raise BadAttributes from bad
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def _hello(value: str) -> str:
    if value and not _HELO.fullmatch(value):
        raise BadAttributes
    return value


def _protocol(value: str) -> bool:
    if value.upper() not in {"SMTP", "ESMTP", ""}:
        raise BadAttributes
    return value.upper() == "ESMTP"


def _account(value: str) -> str:
    try:
        return parse_address(value).key if value else ""
    except BadAddress as bad:
        raise BadAttributes from bad
