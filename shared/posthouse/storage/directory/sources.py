"""The addresses that mail leaves from, their pools, and whose mail uses which."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

from posthouse.mail.address import BadAddress, is_domain
from posthouse.mail.patterns import EVERYTHING, pattern_key, sender_key
from posthouse.mail.sources import MACHINE, Source, SourceUse
from posthouse.storage.directory.errors import DirectoryError, NoSuchEntry, StillInUse
from posthouse.storage.pool import Pool, Queries, Tx, transaction

MAX_WARM_UP_DAYS = 366
MAX_BUDGET = 100_000_000  # messages a day

_POOL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

_SET = """
    insert into sources (address, pool, hostname, warm_up, since) values ($1, $2, $3, $4, $5)
        on conflict (address) do update set pool = excluded.pool, hostname = excluded.hostname,
           warm_up = excluded.warm_up, since = excluded.since
 returning (select pool from sources where address = $1) as before
"""
_REMOVE = "delete from sources where address = $1 returning pool as before"
_ALL = "select address, pool, hostname, warm_up, since from sources order by pool, address"
_IS_POOL = "select true from sources where pool = $1 limit 1"
_USED_BY = "select sender, domain from source_uses where pool = $1 limit 1"
_USE = """
    insert into source_uses (sender, domain, pool) values ($1, $2, $3)
        on conflict (sender, domain) do update set pool = excluded.pool
"""
_UNUSE = "delete from source_uses where sender = $1 and domain = $2"
_USES = "select sender, domain, pool from source_uses order by sender, domain"
# A pool that is being given to senders keeps its addresses meanwhile, and the other way round.
_HOLD = "lock table sources, source_uses in share row exclusive mode"


async def set_source(queries: Pool | Tx, source: Source) -> None:
    """Add an address, or replace what is said of it; without a first day it begins today.

    Raises `DirectoryError` if it says what cannot be, `StillInUse` if its old pool would be left
    without addresses although mail leaves from it.
    """
    address = _address(source.address)
    if not _POOL.fullmatch(source.pool) or source.pool == MACHINE:
        raise DirectoryError(f"not the name of a pool: {source.pool}")
    if not is_domain(source.hostname):
        raise BadAddress(f"not a host name: {source.hostname}")
    warm_up = _warm_up(source.warm_up)
    since = max(source.since, datetime(1970, 1, 1, tzinfo=UTC).date())
    async with transaction(queries) as tx:
        await tx.execute(_HOLD)
        row = (address, source.pool, source.hostname.lower(), warm_up, since)
        before = await tx.fetchval(_SET, *row)
        if before is not None:
            await _keep_used(tx, str(before))


async def remove_source(queries: Pool | Tx, address: str) -> None:
    """Remove an address; raise `NoSuchEntry`, or `StillInUse` if its pool needs it."""
    async with transaction(queries) as tx:
        await tx.execute(_HOLD)
        before = await tx.fetchval(_REMOVE, _address(address))
        if before is None:
            raise NoSuchEntry(f"mail does not leave from {address}")
        await _keep_used(tx, str(before))


async def sources(queries: Queries) -> tuple[Source, ...]:
    """Return all addresses, by pool; they are few and set by hand."""
    return tuple(
        Source(
            address=row["address"],
            pool=row["pool"],
            hostname=row["hostname"],
            warm_up=tuple(row["warm_up"]),
            since=row["since"],
        )
        for row in await queries.fetch(_ALL)
    )


async def set_source_use(queries: Pool | Tx, use: SourceUse) -> None:
    """Let mail leave from a pool; raise `BadAddress`, or `NoSuchEntry` if there is no such pool."""
    sender, domain = _patterns(use.sender, use.domain)
    async with transaction(queries) as tx:
        await tx.execute(_HOLD)
        if use.pool != MACHINE and not await tx.fetchval(_IS_POOL, use.pool):
            raise NoSuchEntry(f"no address is in the pool {use.pool}")
        await tx.execute(_USE, sender, domain, use.pool)


async def remove_source_use(queries: Queries, sender: str, domain: str) -> None:
    """Choose no pool for some mail any more; raise `NoSuchEntry` or `BadAddress`."""
    if not await queries.execute(_UNUSE, *_patterns(sender, domain)):
        raise NoSuchEntry(f"no pool is chosen for mail from {sender} to {domain}")


async def source_uses(queries: Queries) -> tuple[SourceUse, ...]:
    """Return which mail leaves from which pool; the entries are few and set by hand."""
    return tuple(
        SourceUse(sender=row["sender"], domain=row["domain"], pool=row["pool"])
        for row in await queries.fetch(_USES)
    )


async def _keep_used(tx: Tx, pool: str) -> None:
    """Raise `StillInUse` if mail leaves from ``pool`` and it has no address any more."""
    if await tx.fetchval(_IS_POOL, pool):
        return
    row = await tx.fetchrow(_USED_BY, pool)
    if row is not None:
        raise StillInUse(
            f"it is the last address of {pool}, and mail from {row['sender']} to {row['domain']}"
            " leaves from there"
        )


def _patterns(sender: str, domain: str) -> tuple[str, str]:
    whose = sender if sender == EVERYTHING else sender_key(sender)
    return whose, pattern_key(domain)


def _address(text: str) -> str:
    try:
        address: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        raise BadAddress(f"not an IP address: {text}") from None
    if address.is_unspecified or address.is_multicast or "%" in text:
        raise BadAddress(f"nothing can leave from {text}")
    return str(address)


def _warm_up(budgets: tuple[int, ...]) -> list[int]:
    if len(budgets) > MAX_WARM_UP_DAYS:
        raise DirectoryError(f"a warm-up of more than {MAX_WARM_UP_DAYS} days")
    if any(not 0 < budget <= MAX_BUDGET for budget in budgets):
        raise DirectoryError(f"a day's budget is 1 to {MAX_BUDGET} messages")
    return list(budgets)
