"""Who may relay without a password, and on which terms."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from posthouse.mail.address import BadAddress, is_domain
from posthouse.storage.directory.errors import DirectoryError, NoSuchEntry
from posthouse.storage.pool import Queries

_ADD_NETWORK = """
    insert into networks (network, note, relay, senders) values ($1, $2, $3, $4)
        on conflict (network) do update
       set note = excluded.note, relay = excluded.relay, senders = excluded.senders
"""
_REMOVE_NETWORK = "delete from networks where network = $1"
_NETWORKS = "select network, note, relay, senders from networks order by network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Clients that may relay without authentication; of several the most specific counts.

    Attributes:
        network: Whose.
        note: For people.
        relay: False: they may not, though a larger network may.
        senders: Domains that the sender must be of; empty: any.
    """

    network: IPv4Network | IPv6Network
    note: str = ""
    relay: bool = True
    senders: frozenset[str] = frozenset()


async def add_network(
    queries: Queries,
    network: str,
    note: str = "",
    *,
    relay: bool = True,
    senders: Collection[str] = (),
) -> None:
    """Let the clients of ``network`` (CIDR) relay, or set on which terms.

    Raises `DirectoryError` if it is no network, `BadAddress` if a sender's domain is none.
    """
    for domain in senders:
        if not is_domain(domain):
            raise BadAddress(f"not a domain: {domain}")
    domains = sorted({domain.lower() for domain in senders})
    await queries.execute(_ADD_NETWORK, _network(network), note, relay, domains)


async def remove_network(queries: Queries, network: str) -> None:
    """Forbid it again; raise `NoSuchEntry`, `DirectoryError` if it is no network."""
    if not await queries.execute(_REMOVE_NETWORK, _network(network)):
        raise NoSuchEntry(f"no network {network}")


async def networks(queries: Queries) -> tuple[Network, ...]:
    """Return all networks that have terms for relaying."""
    return tuple(
        Network(
            network=row["network"],
            note=row["note"],
            relay=row["relay"],
            senders=frozenset(row["senders"]),
        )
        for row in await queries.fetch(_NETWORKS)
    )


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as wrong:
        raise DirectoryError(f"not a network: {text}") from wrong
