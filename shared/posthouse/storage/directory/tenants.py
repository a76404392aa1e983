"""Tenants: customers with domains. "Anyone" on an ACL ends at their border; quotas may bound them."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from posthouse.storage.directory.errors import AlreadyThere, NoSuchEntry, StillInUse
from posthouse.storage.pool import Queries

_ADD = "insert into tenants (tenant) values ($1) on conflict do nothing"
_REMOVE = "delete from tenants where tenant = $1"
_LIST = """
    select t.tenant, coalesce(array_agg(d.domain order by d.domain) filter (where d.domain is not null), '{}') as domains
      from tenants t left join domains d using (tenant)
     where t.tenant > $1 group by t.tenant order by t.tenant limit $2
"""
_ASSIGN = "update domains set tenant = $2 where domain = $1"
_FREE = "update domains set tenant = null where domain = $1 and tenant = $2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One of them, with its domains."""

    tenant: str
    domains: tuple[str, ...]


async def add_tenant(queries: Queries, tenant: str) -> None:
    """Make a tenant without domains; raise `AlreadyThere`."""
    if not await queries.execute(_ADD, tenant):
        raise AlreadyThere(f"tenant {tenant} is there already")


async def remove_tenant(queries: Queries, tenant: str) -> None:
    """Remove a tenant; raise `NoSuchEntry`, or `StillInUse` while it has domains."""
    try:
        removed = await queries.execute(_REMOVE, tenant)
    except asyncpg.ForeignKeyViolationError as refusal:
        raise StillInUse(f"tenant {tenant} still has domains") from refusal
    if not removed:
        raise NoSuchEntry(f"no tenant {tenant}")


async def tenants(queries: Queries, after: str = "", limit: int = 1000) -> list[Tenant]:
    """Return up to ``limit`` tenants whose name sorts after ``after``."""
    rows = await queries.fetch(_LIST, after, limit)
    return [Tenant(tenant=row["tenant"], domains=tuple(row["domains"])) for row in rows]


async def assign_domain(queries: Queries, domain: str, tenant: str) -> None:
    """Say whose a domain is; raise `NoSuchEntry`."""
    try:
        assigned = await queries.execute(_ASSIGN, domain.lower(), tenant)
    except asyncpg.ForeignKeyViolationError as refusal:
        raise NoSuchEntry(f"no tenant {tenant}") from refusal
    if not assigned:
        raise NoSuchEntry(f"no domain {domain}")


async def free_domain(queries: Queries, domain: str, tenant: str) -> None:
    """Make a domain nobody's; raise `NoSuchEntry` if it is not this tenant's."""
    if not await queries.execute(_FREE, domain.lower(), tenant):
        raise NoSuchEntry(f"{domain} is not of tenant {tenant}")
