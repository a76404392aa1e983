"""Networks: lists of them in settings, ``192.0.2.0/24,2001:db8::/32``, and those that are one client.

An IPv6 client is known by its /64, the least that anybody is given: its addresses within cost
nothing to change. An operator may draw the line elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_IPV4 = 4  # the version's name
_IPV4_BITS = 32
_MAX_NAMES = 10_000


class BadNetworks(ValueError):
    """The text is no list of networks."""


@dataclass(frozen=True, slots=True)
class Networks:
    """A few networks: ``"192.0.2.7" in networks``. An IPv4 address in IPv6 is the IPv4 address."""

    members: tuple[IPv4Network | IPv6Network, ...] = ()

    def __contains__(self, address: object) -> bool:
        if not self.members or not isinstance(address, str):
            return False
        try:
            found: IPv4Address | IPv6Address = ip_address(address)
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return any(found in network for network in self.members)

    def __bool__(self) -> bool:
        return bool(self.members)


NOWHERE = Networks()


@dataclass(frozen=True, slots=True, kw_only=True)
class Breadth:
    """How much of an address is one client; its neighbours within count as itself.

    Attributes:
        ipv4_bits: Of an IPv4 address, also of one in IPv6.
        ipv6_bits: Of an IPv6 address.
    """

    ipv4_bits: int = 32
    ipv6_bits: int = 64

    def network_of(self, client: str) -> str:
        """Return what stands for ``client``: its address, or the network of so many bits."""
        if self.ipv4_bits == _IPV4_BITS and ":" not in client:
            return client
        return _network_of(client, self.ipv4_bits, self.ipv6_bits)


@lru_cache(maxsize=_MAX_NAMES)
def _network_of(client: str, ipv4_bits: int, ipv6_bits: int) -> str:
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    address = getattr(address, "ipv4_mapped", None) or address
    bits = ipv4_bits if address.version == _IPV4 else ipv6_bits
    if bits == address.max_prefixlen:
        return str(address)
    return str(ip_network((address, bits), strict=False))


USUAL = Breadth()


def parse_networks(text: str) -> Networks:
    """Read networks and addresses divided by commas; raise `BadNetworks`."""
    try:
        return Networks(tuple(ip_network(part) for part in map(str.strip, text.split(",")) if part))
    except ValueError as wrong:
        raise BadNetworks(f"must look like 192.0.2.0/24,2001:db8::/32: {wrong}") from wrong
