"""PROXY headers: read whole, octet by octet, or refused; whatever comes, nothing else happens."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.networks import BadNetworks, parse_networks
from posthouse.runtime.proxy_protocol import (
    MAX_LINE_OCTETS,
    MAX_OCTETS,
    SIGNATURE,
    BadHeader,
    Header,
    read_header,
)

PROXY, LOCAL = 0x21, 0x20
TCP4, TCP6, UNIX, UDP4 = 0x11, 0x21, 0x31, 0x12


def version_2(command: int, kind: int, client: str = "", extra: bytes = b"") -> bytes:
    """Write a header as HAProxy does."""
    block = b""
    if client:
        packed = ip_address(client).packed
        block = packed + packed[::-1] + struct.pack("!HH", 40_000, 25)
    return SIGNATURE + struct.pack("!BBH", command, kind, len(block + extra)) + block + extra


GOOD = [
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n", "192.0.2.7"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 25\r\n", "2001:db8::7"),
    (b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 0 65535\r\n", "192.0.2.7"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
    (version_2(PROXY, TCP4, "192.0.2.7"), "192.0.2.7"),
    (version_2(PROXY, TCP4, "192.0.2.7", extra=b"\x03\x00\x04abcd"), "192.0.2.7"),
    (version_2(PROXY, TCP6, "2001:db8::7"), "2001:db8::7"),
    (version_2(PROXY, TCP6, "::ffff:192.0.2.7"), "192.0.2.7"),
    (version_2(LOCAL, 0), None),
    (version_2(LOCAL, TCP4, "192.0.2.7"), None),
    (version_2(PROXY, 0), None),
    (version_2(PROXY, UNIX, extra=bytes(216)), None),
]

BAD = [
    b"EHLO b.test\r\n",
    b"\x16\x03\x01\x02\x00\x01",
    b"proxy TCP4 192.0.2.7 198.51.100.1 40000 25\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 40000 25\r\n",
    b"PROXY TCP6 192.0.2.7 198.51.100.1 40000 25\r\n",
    b"PROXY TCP4 192.0.2.07 198.51.100.1 40000 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 25\r\n",
    b"PROXY TCP4  192.0.2.7 198.51.100.1 40000 25\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\n" + b"x" * MAX_LINE_OCTETS,
    b"PROXY UNKNOWN\0\r\n",
    b"PROXY SCTP 192.0.2.7 198.51.100.1 40000 25\r\n",
    b"PROXY " + b"x" * MAX_LINE_OCTETS,
    version_2(0x31, TCP4, "192.0.2.7"),
    version_2(0x22, TCP4, "192.0.2.7"),
    version_2(PROXY, UDP4, "192.0.2.7"),
    version_2(PROXY, TCP4),
    version_2(PROXY, TCP6, "192.0.2.7"),
    version_2(PROXY, 0x41, "192.0.2.7"),
    version_2(PROXY, TCP4, "192.0.2.7", extra=bytes(MAX_OCTETS)),
]


@pytest.mark.parametrize(("octets", "client"), GOOD)
def test_a_header_ends_where_it_ends_however_it_is_cut(octets: bytes, client: str | None) -> None:
    assert read_header(octets + b"EHLO b.test\r\n") == Header(client, len(octets))
    for end in range(len(octets)):
        assert read_header(octets[:end]) is None


@pytest.mark.parametrize("octets", BAD)
def test_what_is_no_header_is_refused(octets: bytes) -> None:
    with pytest.raises(BadHeader):
        read_header(octets)


@given(
    st.binary(max_size=300)
    | st.binary(max_size=300).map(lambda rest: SIGNATURE + rest)
    | st.binary(max_size=120).map(lambda rest: b"PROXY TCP4 " + rest)
)
def test_any_octets_are_a_header_or_the_beginning_of_one_or_refused(octets: bytes) -> None:
    try:
        header = read_header(octets)
    except BadHeader:
        return
    if header is None:
        assert len(octets) < MAX_OCTETS
    else:
        assert header.octets <= len(octets)
        assert header.client is None or str(ip_address(header.client)) == header.client


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_every_address_is_told_in_both_versions(address: IPv4Address | IPv6Address) -> None:
    text = str(address)
    is_6 = isinstance(address, IPv6Address)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    line = b"PROXY %b %b %b 1 2\r\n" % (b"TCP6" if is_6 else b"TCP4", text.encode(), text.encode())
    octets = version_2(PROXY, TCP6 if is_6 else TCP4, text)

    assert read_header(octets) == Header(str(mapped or address), len(octets))
    assert read_header(line) == Header(str(mapped or address), len(line))


def test_networks_hold_what_lies_in_them() -> None:
    networks = parse_networks("192.0.2.0/24, 2001:db8::/32,198.51.100.7")

    assert "192.0.2.200" in networks
    assert "::ffff:192.0.2.200" in networks
    assert "2001:db8:1::1" in networks
    assert "198.51.100.7" in networks
    for elsewhere in ("198.51.100.8", "2001:db9::1", "unknown", ""):
        assert elsewhere not in networks
    assert "127.0.0.1" not in parse_networks("")
    with pytest.raises(BadNetworks):
        parse_networks("192.0.2.1/24")
