"""Our domains: for addresses in these we are the last station."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from posthouse.mail.address import DETAIL_DELIMITER, BadAddress, is_domain, parse_address
from posthouse.mail.details import DELIMITERS
from posthouse.storage.directory.errors import (
    AlreadyThere,
    DirectoryError,
    NoSuchEntry,
    Shadow,
    StillInUse,
)
from posthouse.storage.directory.precedence import hold_routes, refuse
from posthouse.storage.pool import Pool, Queries, Tx, transaction

_ADD = "insert into domains (domain) values ($1) on conflict do nothing"
_HAS_ROUTE = "select true from routes where domain = $1"
_REMOVE = "delete from domains where domain = $1"
_LIST = """
    select domain, catch_all, delimiters from domains where domain > $1 order by domain limit $2
"""
_SET_DELIMITERS = "update domains set delimiters = $2 where domain = $1"
_SET_CATCH_ALL = "update domains set catch_all = $2 where domain = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A domain whose mail ends here.

    Attributes:
        domain: Its name, lower case.
        catch_all: The address that takes what nobody else does; None refuses it.
        delimiters: What parts a local part from its detail (RFC 5233 §1); empty: nothing does.
    """

    domain: str
    catch_all: str | None = None
    delimiters: str = DETAIL_DELIMITER


async def add_domain(queries: Pool | Tx, domain: str, *, force: bool = False) -> None:
    """Take on ``domain``.

    Raises `AlreadyThere`, `BadAddress` if it is no domain name, and `Shadowed` if it has a route,
    which would take its mail no more, unless that is meant (``force``).
    """
    if not is_domain(domain):
        raise BadAddress(f"not a domain: {domain}")
    name = domain.lower()
    async with transaction(queries) as tx:
        await hold_routes(tx)
        if not await tx.execute(_ADD, name):
            raise AlreadyThere(f"domain {domain} is there already")
        if await tx.fetchval(_HAS_ROUTE, name):
            refuse([Shadow(name, "has a route, which would take its mail no more")], force=force)


async def remove_domain(queries: Queries, domain: str) -> None:
    """Give up ``domain``; raise `NoSuchEntry`, or `StillInUse` while it has accounts or aliases."""
    try:
        removed = await queries.execute(_REMOVE, domain.lower())
    except asyncpg.ForeignKeyViolationError as refused:
        raise StillInUse(f"domain {domain} still has accounts or aliases") from refused
    if not removed:
        raise NoSuchEntry(f"no domain {domain}")


async def domains(queries: Queries, after: str = "", limit: int = 1000) -> tuple[Domain, ...]:
    """Return up to ``limit`` domains that sort after ``after``."""
    return tuple(
        Domain(domain=row["domain"], catch_all=row["catch_all"], delimiters=row["delimiters"])
        for row in await queries.fetch(_LIST, after.lower(), limit)
    )


async def set_catch_all(queries: Queries, domain: str, address: str | None) -> None:
    """Send what nobody in ``domain`` takes to ``address``; None refuses it. Raise `NoSuchEntry`."""
    target = None if address is None else str(parse_address(address))
    if not await queries.execute(_SET_CATCH_ALL, domain.lower(), target):
        raise NoSuchEntry(f"no domain {domain}")


async def set_delimiters(queries: Queries, domain: str, delimiters: str) -> None:
    """Part local parts of ``domain`` at these, some of ``+-=``; raise `NoSuchEntry`."""
    if not set(delimiters) <= set(DELIMITERS):
        raise DirectoryError(f"delimiters are some of {DELIMITERS}")
    if not await queries.execute(_SET_DELIMITERS, domain.lower(), delimiters):
        raise NoSuchEntry(f"no domain {domain}")
