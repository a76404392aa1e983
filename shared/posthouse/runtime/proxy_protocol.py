"""The PROXY protocol, versions 1 and 2: how a load balancer tells whom it speaks for.

(https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt.) The header stands before the first
octet of the connection's own protocol, TLS included. It is believed from listed networks alone: it
could say anything. Pure, and bounded: whatever comes, `read_header` looks at `MAX_OCTETS` at most.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from posthouse.mail.networks import Networks

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"  # §2.2
MAX_LINE_OCTETS = 107  # §2.1, version 1 with its line end
MAX_OCTETS = 4096  # version 2 with what it says beside addresses, which nobody here reads

_LINE = re.compile(rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (\d{1,5}) (\d{1,5})")
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [ -~]*)?")
_FIXED = struct.Struct("!12sBBH")
_MAX_PORT = 65_535
_VERSION_2, _LOCAL, _PROXY = 0x20, 0x0, 0x1  # §2.2, the 13th octet: version, command
_STREAM, _DATAGRAM = 0x1, 0x2  # the 14th: transport
_INET, _INET6, _UNIX = 0x1, 0x2, 0x3  # and family
_ADDRESS_OCTETS = {_INET: 4, _INET6: 16}
_BLOCK_OCTETS = {0x0: 0, _INET: 12, _INET6: 36, _UNIX: 216}


class BadHeader(Exception):
    """What came is no header; the connection is to be closed (§2)."""


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header.

    Attributes:
        client: The IP address that the proxy speaks for; None if it speaks for itself (LOCAL,
            UNKNOWN: its health checks) or for no address: then its own counts.
        octets: How long the header is.
    """

    client: str | None
    octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """Whose headers are believed.

    Attributes:
        networks: Each connection from there begins with a header; one that does not is closed.
        is_required: Who comes from elsewhere is not let in; if False, he comes in as himself, and
            a header of his is what it is in the connection's own protocol: nonsense.
    """

    networks: Networks = field(default_factory=Networks)
    is_required: bool = True


def read_header(octets: bytes) -> Header | None:
    """Return the header that ``octets`` begin with, None if all of them are part of one so far.

    Raises `BadHeader`.
    """
    if octets.startswith(SIGNATURE[: max(1, len(octets))]):
        return _version_2(octets)
    if b"PROXY "[: len(octets)] == octets[:6]:
        return _version_1(octets)
    raise BadHeader("no header")


def _version_1(octets: bytes) -> Header | None:
    end = octets.find(b"\r\n", 0, MAX_LINE_OCTETS)
    if end < 0:
        if len(octets) >= MAX_LINE_OCTETS:
            raise BadHeader("a line without an end")
        return None
    line = octets[:end]
    if _UNKNOWN.fullmatch(line):
        return Header(None, end + 2)
    found = _LINE.fullmatch(line)
    if found is None or any(int(port) > _MAX_PORT for port in found.group(4, 5)):
        raise BadHeader("a line that cannot be read")
    kind = IPv4Address if found[1] == b"TCP4" else IPv6Address
    try:
        client, _ = (kind(address.decode()) for address in found.group(2, 3))
    except ValueError as bad:
        raise BadHeader("an address that cannot be read") from bad
    return Header(_plain(client), end + 2)


def _version_2(octets: bytes) -> Header | None:
    if len(octets) < _FIXED.size:
        return None
    _, command, transport, length = _FIXED.unpack_from(octets)
    whole = _FIXED.size + length
    if command not in {_VERSION_2 | _LOCAL, _VERSION_2 | _PROXY} or whole > MAX_OCTETS:
        raise BadHeader("an unknown version or command, or too long")
    if len(octets) < whole:
        return None
    family, kind = transport >> 4, transport & 0xF
    if command & 0xF == _LOCAL:
        return Header(None, whole)
    if kind == _DATAGRAM or kind > _DATAGRAM or length < _BLOCK_OCTETS.get(family, MAX_OCTETS):
        raise BadHeader("no stream, an unknown family, or too short")
    size = _ADDRESS_OCTETS.get(family, 0)
    if (
        kind != _STREAM or not size
    ):  # UNSPEC, or a socket file: the address of the connection counts
        return Header(None, whole)
    raw = octets[_FIXED.size : _FIXED.size + size]
    return Header(_plain(IPv4Address(raw) if family == _INET else IPv6Address(raw)), whole)


def _plain(address: IPv4Address | IPv6Address) -> str:
    """Return the address as text; IPv4 in IPv6 is IPv4 (RFC 4291 §2.5.5.2)."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)
