"""The client's name, proved both ways (RFC 8601 §2.7.3, §3): its address names it, and it the address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal, TypeAlias

from posthouse.authenticity.names import Names
from posthouse.mail.answers import Found, Temporary

IpRevResult: TypeAlias = Literal["pass", "fail", "temperror", "permerror"]

MAX_NAMES = 5  # of one address are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class IpRev:
    """What was found.

    Attributes:
        result: See RFC 8601 §2.7.3.
        name: The client's name, lower case; empty unless it is proved.
        why: What is wrong.
    """

    result: IpRevResult
    name: str = ""
    why: str = ""


async def check_reverse(names: Names, client: str) -> IpRev:
    """Return the proved name of the IP address ``client``."""
    address = _address(client)
    if address is None:
        return IpRev(result="permerror", why="no address")
    answer = await names.pointers(str(address))
    if isinstance(answer, Temporary):
        return IpRev(result="temperror", why=answer.why)
    if not isinstance(answer, Found):
        return IpRev(result="permerror", why="no name")  # §2.7.3: no PTR
    return await _confirmed(names, answer.records[:MAX_NAMES], address)


async def _confirmed(
    names: Names, candidates: Sequence[str], address: IPv4Address | IPv6Address
) -> IpRev:
    doubt = ""
    for name in candidates:
        found = await names.hosts(name, 4 if isinstance(address, IPv4Address) else 6)
        if isinstance(found, Temporary):
            doubt = found.why
        elif isinstance(found, Found) and address in map(ip_address, found.records):
            return IpRev(result="pass", name=name.lower())
    if doubt:
        return IpRev(result="temperror", why=doubt)
    return IpRev(result="fail", why=f"{candidates[0]} is not {address}")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
