"""The way out: where mail for a domain goes instead of its MX, or mail of a sender.

What fits best counts: the route of the domain itself, then that of all below the nearest domain
above it, then what the sender has, then the route ``*``, then MX (`posthouse.mail.patterns`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from posthouse.mail.hops import FOLDERS, BadHop, Hop, Kind, parse_hop, parse_hops
from posthouse.mail.patterns import EVERYTHING, pattern_key, patterns_of, sender_key
from posthouse.mail.windows import BadWindows, parse_windows
from posthouse.storage.directory.errors import DirectoryError, NoSuchEntry, Shadow
from posthouse.storage.directory.precedence import hold_routes, refuse
from posthouse.storage.pool import Pool, Queries, Row, Tx, transaction

_hop = lru_cache(maxsize=1000)(parse_hop)  # thousands of routes lead to a few servers

_SET_ROUTE = """
    insert into routes (domain, hops, username, password, hold, open_at)
         values ($1, $2, $3, $4, $5, $6)
        on conflict (domain) do update set hops = excluded.hops, username = excluded.username,
           password = excluded.password, hold = excluded.hold, open_at = excluded.open_at
"""
_IS_OURS = "select true from domains where domain = $1"
_REMOVE_ROUTE = "delete from routes where domain = $1"
_COLUMNS = "domain, hops, username, password, hold, open_at"
_ROUTES = f"select {_COLUMNS} from routes order by domain"  # noqa: S608 - columns are ours
# The patterns come with what fits best first.
_ROUTE = f"""
    select {_COLUMNS} from routes where domain = any($1::text[])
     order by array_position($1::text[], domain) limit 1
"""  # noqa: S608 - columns are ours
_SET_RELAY = """
    insert into relays (sender, hops, username, password) values ($1, $2, $3, $4)
        on conflict (sender) do update set hops = excluded.hops, username = excluded.username,
           password = excluded.password
"""
_REMOVE_RELAY = "delete from relays where sender = $1"
# Changes with any of them; whoever keeps them asks for this and reads them only if it did.
_FINGERPRINT = """
    select (select count(*)::text || sum(hashtextextended(r::text, 0)) from routes r) as routes,
           (select count(*)::text || sum(hashtextextended(r::text, 0)) from relays r) as relays
"""
_RELAYS = "select sender, hops, username, password from relays order by sender"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where mail for some domains goes instead of their MX.

    Attributes:
        domain: Whose mail, as a pattern (`posthouse.mail.patterns`).
        hops: Where to; never empty.
        username: Log in there as; None for no login.
        password: With this.
        hold: Mail goes only when somebody asks for it; until then it waits in the ledger.
        window: When mail may go unasked (`posthouse.mail.windows`); None for always.
    """

    domain: str
    hops: tuple[Hop, ...]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    hold: bool = False
    window: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """Where mail of a sender goes, if no route but `EVERYTHING` fits.

    Attributes:
        sender: Whose mail: an address, a domain or all below it with an @ before, or ``<>``.
        hops: Where to; never empty, never folders.
        username: Log in there as; None for no login.
        password: With this.
    """

    sender: str
    hops: tuple[Hop, ...]
    username: str | None = None
    password: str | None = field(default=None, repr=False)


async def set_route(queries: Pool | Tx, route: Route, *, force: bool = False) -> None:
    """Set or replace a route.

    Raises `BadAddress` or `DirectoryError` if it is none, and `Shadowed` if the domain is ours, so
    that its mail ends here whatever its route says, unless that is meant (``force``).
    """
    domain = pattern_key(route.domain)
    hops = _texts(route.hops)
    if route.window is not None:
        _check_window(route.window)
    _check_login(route)
    row = (domain, hops, route.username, route.password, route.hold, route.window)
    async with transaction(queries) as tx:
        await hold_routes(tx)
        if await tx.fetchval(_IS_OURS, domain):
            refuse([Shadow(domain, "is ours: its mail ends here, not at its route")], force=force)
        await tx.execute(_SET_ROUTE, *row)


async def remove_route(queries: Queries, domain: str) -> None:
    """Remove the route of a pattern; raise `NoSuchEntry`, or `BadAddress` if it is no pattern."""
    if not await queries.execute(_REMOVE_ROUTE, pattern_key(domain)):
        raise NoSuchEntry(f"no route for {domain}")


async def routes(queries: Queries) -> tuple[Route, ...]:
    """Return all routes; they are few and set by hand."""
    return tuple(map(_route, await queries.fetch(_ROUTES)))


async def route_of(queries: Queries, domain: str) -> Route | None:
    """Return the route that fits ``domain`` best; that of everything is none."""
    wanted = [pattern for pattern in patterns_of(domain) if pattern != EVERYTHING]
    row = await queries.fetchrow(_ROUTE, wanted)
    return None if row is None else _route(row)


async def set_relay(queries: Queries, relay: Relay) -> None:
    """Set or replace the way of a sender; raise `BadAddress` or `DirectoryError` if it is none."""
    hops = _texts(relay.hops)
    if any(hop.kind in FOLDERS for hop in relay.hops):
        raise DirectoryError("folders belong to recipients, not to senders")
    _check_login(relay)
    key = sender_key(relay.sender)
    await queries.execute(_SET_RELAY, key, hops, relay.username, relay.password)


async def remove_relay(queries: Queries, sender: str) -> None:
    """Remove the way of a sender; raise `NoSuchEntry`, or `BadAddress` if it is no sender."""
    if not await queries.execute(_REMOVE_RELAY, sender_key(sender)):
        raise NoSuchEntry(f"no relay for {sender}")


async def relays(queries: Queries) -> tuple[Relay, ...]:
    """Return the ways of all senders that have one; they are few and set by hand."""
    return tuple(
        Relay(
            sender=row["sender"],
            hops=_hops(row),
            username=row["username"],
            password=row["password"],
        )
        for row in await queries.fetch(_RELAYS)
    )


async def ways_fingerprint(queries: Queries) -> str:
    """Return a text that is another one when any route or relay is."""
    row = await queries.fetchrow(_FINGERPRINT)
    return "" if row is None else f"{row['routes']} {row['relays']}"


def _route(row: Row) -> Route:
    return Route(
        domain=row["domain"],
        hops=_hops(row),
        username=row["username"],
        password=row["password"],
        hold=row["hold"],
        window=row["open_at"],
    )


def _hops(row: Row) -> tuple[Hop, ...]:
    return tuple(_hop(text) for text in row["hops"])


def _texts(hops: tuple[Hop, ...]) -> list[str]:
    """Return the hops as they are kept; read again, so that no rule of theirs is passed by."""
    texts = tuple(map(str, hops))
    try:
        parse_hops(texts)
    except BadHop as wrong:
        raise DirectoryError(str(wrong)) from wrong
    return list(texts)


def _check_window(text: str) -> None:
    try:
        parse_windows(text)
    except BadWindows as wrong:
        raise DirectoryError(str(wrong)) from wrong


def _check_login(entry: Route | Relay) -> None:
    if (entry.username is None) != (entry.password is None):
        raise DirectoryError("username and password go together")
    if entry.username is not None and any(hop.kind is not Kind.SMTP for hop in entry.hops):
        raise DirectoryError("a password goes only to a server that the route itself names")
