"""The way out and in: where mail for a domain goes instead of its MX, who may relay."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from posthouse.mail.address import BadAddress, is_domain
from posthouse.storage.directory.errors import DirectoryError, NoSuchEntry, Shadow
from posthouse.storage.directory.precedence import hold_routes, refuse
from posthouse.storage.pool import Pool, Queries, Tx, transaction

SMARTHOST = "*"  # the route of every domain that has none of its own
MAX_PORT = 65_535

_SET_ROUTE = """
    insert into routes (domain, host, port, username, password) values ($1, $2, $3, $4, $5)
        on conflict (domain) do update set host = excluded.host, port = excluded.port,
           username = excluded.username, password = excluded.password
"""
_IS_OURS = "select true from domains where domain = $1"
_REMOVE_ROUTE = "delete from routes where domain = $1"
_ROUTES = "select domain, host, port, username, password from routes order by domain"
_ROUTE = "select domain, host, port, username, password from routes where domain = $1"
_ADD_NETWORK = """
    insert into networks (network, note, relay, senders) values ($1, $2, $3, $4)
        on conflict (network) do update
       set note = excluded.note, relay = excluded.relay, senders = excluded.senders
"""
_REMOVE_NETWORK = "delete from networks where network = $1"
_NETWORKS = "select network, note, relay, senders from networks order by network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where mail for a domain goes instead of its MX.

    Attributes:
        domain: Lower case; `SMARTHOST` for every domain without a route.
        host: Name or address literal's text of the next hop.
        port: TCP port.
        username: Log in as; None for no login.
        password: With this.
    """

    domain: str
    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)


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


async def set_route(queries: Pool | Tx, route: Route, *, force: bool = False) -> None:
    """Set or replace the route of a domain.

    Raises `BadAddress` or `DirectoryError` if it is none, and `Shadowed` if the domain is ours, so
    that its mail ends here whatever its route says, unless that is meant (``force``).
    """
    if route.domain != SMARTHOST and not is_domain(route.domain):
        raise BadAddress(f"not a domain: {route.domain}")
    if not route.host or not 1 <= route.port <= MAX_PORT:
        raise DirectoryError(f"not a host and port: {route.host}:{route.port}")
    domain = route.domain.lower()
    async with transaction(queries) as tx:
        await hold_routes(tx)
        if await tx.fetchval(_IS_OURS, domain):
            refuse([Shadow(domain, "is ours: its mail ends here, not at its route")], force=force)
        await tx.execute(_SET_ROUTE, domain, route.host, route.port, route.username, route.password)


async def remove_route(queries: Queries, domain: str) -> None:
    """Remove the route of ``domain``; raise `NoSuchEntry`."""
    if not await queries.execute(_REMOVE_ROUTE, domain.lower()):
        raise NoSuchEntry(f"no route for {domain}")


async def routes(queries: Queries) -> tuple[Route, ...]:
    """Return all routes; they are few and set by hand."""
    return tuple(Route(**dict(row)) for row in await queries.fetch(_ROUTES))


async def route_of(queries: Queries, domain: str) -> Route | None:
    """Return the domain's own route; the smarthost is none."""
    row = await queries.fetchrow(_ROUTE, domain)
    return None if row is None else Route(**dict(row))


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
