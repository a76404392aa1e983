"""Sealers that are believed (RFC 8617 §7.2.1): mailing lists and forwarders, by the domain of their seals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from posthouse.storage.directory.errors import NoSuchEntry
from posthouse.storage.pool import Queries

_PUT = """
    insert into arc_sealers (domain, note) values ($1, $2)
        on conflict (domain) do update set note = excluded.note
"""
_REMOVE = "delete from arc_sealers where domain = $1"
_LIST = """
    select domain, note, since from arc_sealers where domain > $1 order by domain limit $2
"""
_KNOWN = "select domain from arc_sealers where domain = any ($1::text[])"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedSealer:
    """One sealer.

    Attributes:
        domain: d= of its seals, in A-labels.
        note: For people.
        since: When it was trusted first.
    """

    domain: str
    note: str
    since: datetime


async def put_sealer(queries: Queries, domain: str, note: str) -> None:
    """Believe a sealer from now on, or change the note."""
    await queries.execute(_PUT, domain, note)


async def remove_sealer(queries: Queries, domain: str) -> None:
    """Believe it no more; raise `NoSuchEntry`."""
    if not await queries.execute(_REMOVE, domain):
        raise NoSuchEntry(f"{domain} is no sealer that is believed")


async def sealers(queries: Queries, after: str, limit: int) -> tuple[TrustedSealer, ...]:
    """Return up to ``limit`` sealers behind the domain ``after``."""
    return tuple(TrustedSealer(**dict(row)) for row in await queries.fetch(_LIST, after, limit))


async def believed(queries: Queries, domains: frozenset[str]) -> frozenset[str]:
    """Return those of ``domains`` whose seals are believed."""
    return frozenset(row["domain"] for row in await queries.fetch(_KNOWN, sorted(domains)))
