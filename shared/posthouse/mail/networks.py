"""Lists of networks in settings: ``192.0.2.0/24,2001:db8::/32``, and whether an address is in one."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


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


def parse_networks(text: str) -> Networks:
    """Read networks and addresses divided by commas; raise `BadNetworks`."""
    try:
        return Networks(tuple(ip_network(part) for part in map(str.strip, text.split(",")) if part))
    except ValueError as wrong:
        raise BadNetworks("must look like 192.0.2.0/24,2001:db8::/32") from wrong
