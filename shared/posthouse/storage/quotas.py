"""Quotas of accounts, domains and tenants: limits and what is used (RFC 9208, decision 0004).

An account's use is the sum over its mailboxes, exact at any moment. That of a domain or a tenant with
limits is counted in the commits that change it (decision 0024); the postmaster counts again now and then.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypedDict

from posthouse.storage.pool import Pool, Queries, Row, Tx, transaction


@dataclass(slots=True)
class Room:
    """What may still come in; None for anything."""

    octets: int | None
    messages: int | None

    def fits(self, octets: int) -> bool:
        """Tell whether there is room for one more message."""
        return (self.octets is None or octets <= self.octets) and (
            self.messages is None or self.messages > 0
        )

    def take(self, octets: int) -> None:
        """Take a message's room."""
        self.octets = None if self.octets is None else self.octets - octets
        self.messages = None if self.messages is None else self.messages - 1


class Scope(Enum):
    """Whose quota."""

    USER = "user"
    DOMAIN = "domain"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """None for no limit."""

    octets: int | None = None
    messages: int | None = None
    mailboxes: int | None = None

    def __bool__(self) -> bool:
        return self != Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A quota root (RFC 9208 §3.2).

    Attributes:
        scope: Of what.
        name: An address, a domain, a tenant.
        limits: What is allowed.
        octets: What is used.
        messages: Likewise.
        mailboxes: Likewise.
    """

    scope: Scope
    name: str
    limits: Limits
    octets: int
    messages: int
    mailboxes: int


class _Used(TypedDict):
    octets: int
    messages: int
    mailboxes: int


_QUOTAS = """
    select 'user' as scope, a.address as name, a.quota_octets, a.quota_messages, a.quota_mailboxes,
           u.octets, u.messages, u.mailboxes
      from accounts a cross join lateral (
        select coalesce(sum(octets), 0)::bigint as octets, coalesce(sum(exists_), 0) as messages,
               count(*) as mailboxes
          from mailboxes m where m.account_id = a.account_id) u
     where a.address = $1
     union all
    select 'domain', domain, quota_octets, quota_messages, quota_mailboxes, u.*
      from domains d cross join lateral (
        select coalesce(sum(octets), 0), coalesce(sum(messages), 0), coalesce(sum(mailboxes), 0)
          from quota_use q where q.domain = d.domain) u
     where domain = $2
     union all
    select 'tenant', tenant, quota_octets, quota_messages, quota_mailboxes, u.*
      from tenants t cross join lateral (
        select coalesce(sum(octets), 0), coalesce(sum(messages), 0), coalesce(sum(mailboxes), 0)
          from quota_use q where q.tenant = t.tenant) u
     where tenant = $3
"""


# Where nothing is limited nothing is counted.
_SUMMED = """
    select coalesce(sum(m.octets), 0)::bigint as octets, coalesce(sum(m.exists_), 0) as messages,
           count(*) as mailboxes
      from domains d join accounts a using (domain) join mailboxes m using (account_id)
     where case $1 when 'domain' then d.domain else d.tenant end = $2
"""


async def find_quota(queries: Queries, scope: Scope, name: str) -> Quota | None:
    """Return one quota, None if there is no such account, domain or tenant."""
    asked = [name if one is scope else None for one in Scope]
    row = await queries.fetchrow(_QUOTAS, *asked)
    if row is None:
        return None
    quota = _quota_of(row)
    if quota.limits or scope is Scope.USER:
        return quota
    summed = await queries.fetchrow(_SUMMED, scope.value, name)
    return quota if summed is None else replace(quota, **_used(summed))


_ROOTS = """
    select a.address, a.domain, d.tenant from accounts a join domains d using (domain)
     where a.account_id = $1
"""


async def quotas_of(queries: Queries, account: int) -> list[Quota]:
    """Return the quotas that count for an account: its own, and those above it that limit anything."""
    row = await queries.fetchrow(_ROOTS, account)
    if row is None:
        return []
    rows = await queries.fetch(_QUOTAS, row["address"], row["domain"], row["tenant"])
    found = [_quota_of(one) for one in rows]
    return [quota for quota in found if quota.scope is Scope.USER or quota.limits]


def _quota_of(row: Row) -> Quota:
    limits = Limits(
        octets=row["quota_octets"], messages=row["quota_messages"], mailboxes=row["quota_mailboxes"]
    )
    return Quota(scope=Scope(row["scope"]), name=row["name"], limits=limits, **_used(row))


def _used(row: Row) -> _Used:
    return _Used(
        octets=int(row["octets"]), messages=int(row["messages"]), mailboxes=int(row["mailboxes"])
    )


_SET = {
    Scope.USER: """update accounts set quota_octets = $2, quota_messages = $3, quota_mailboxes = $4
                    where address = $1""",
    Scope.DOMAIN: """update domains set quota_octets = $2, quota_messages = $3, quota_mailboxes = $4
                      where domain = $1""",
    Scope.TENANT: """update tenants set quota_octets = $2, quota_messages = $3, quota_mailboxes = $4
                      where tenant = $1""",
}


async def set_limits(queries: Pool | Tx, scope: Scope, name: str, limits: Limits) -> bool:
    """Replace all limits of a quota; return False if there is no such name."""
    values = (limits.octets, limits.messages, limits.mailboxes)
    async with transaction(queries) as tx:
        is_there = bool(await tx.execute(_SET[scope], name, *values))
        if is_there and scope is not Scope.USER:
            await recount(tx)
    return is_there


_MANAGES = """
    select exists (select from quota_managers where account_id = $1 and domain = $2)
"""


async def manages(queries: Queries, account: int, domain: str) -> bool:
    """True if the account may set the quotas of this domain and of its users."""
    return bool(await queries.fetchval(_MANAGES, account, domain))


_ADD_MANAGER = """
    insert into quota_managers (account_id, domain)
    select a.account_id, d.domain from accounts a, domains d where a.address = $1 and d.domain = $2
    on conflict (account_id, domain) do update set domain = excluded.domain
"""
_REMOVE_MANAGER = """
    delete from quota_managers q using accounts a
     where a.account_id = q.account_id and a.address = $1 and q.domain = $2
"""


async def manage_quotas(queries: Queries, address: str, domain: str, *, on: bool = True) -> bool:
    """Let an account set the quotas of a domain by IMAP, or end that; False if there is no such."""
    sql = _ADD_MANAGER if on else _REMOVE_MANAGER
    return bool(await queries.execute(sql, address.lower(), domain.lower()))


# Two that count again at the same moment would both add the same difference.
_TAKE_TURN = "select pg_advisory_xact_lock(hashtext('recount_use'))"
_RECOUNT = "select recount_use()"


async def recount(queries: Pool | Tx) -> None:
    """Add to the counts of domains and tenants with limits what they miss: the limits are new, or changed."""
    async with transaction(queries) as tx:
        await tx.execute(_TAKE_TURN)
        await tx.execute(_RECOUNT)


# What comes in takes from several rooms: the account's own and, as far as they are limited, those above.
_ROOMS = """
    select 'user' as scope, a.account_id::text as name, a.quota_octets - u.octets as octets,
           a.quota_messages - u.messages as messages
      from accounts a cross join lateral (
        select sum(m.octets)::bigint as octets, sum(m.exists_) as messages
          from mailboxes m where m.account_id = a.account_id) u
     where a.account_id = any ($1::bigint[]) and num_nonnulls(a.quota_octets, a.quota_messages) > 0
     union all
    select 'domain', d.domain, d.quota_octets - u.octets, d.quota_messages - u.messages
      from domains d cross join lateral (
        select coalesce(sum(octets), 0)::bigint as octets, coalesce(sum(messages), 0)::bigint as messages
          from quota_use q where q.domain = d.domain) u
     where d.domain = any ($2::text[]) and num_nonnulls(d.quota_octets, d.quota_messages) > 0
     union all
    select 'tenant', t.tenant, t.quota_octets - u.octets, t.quota_messages - u.messages
      from tenants t cross join lateral (
        select coalesce(sum(octets), 0)::bigint as octets, coalesce(sum(messages), 0)::bigint as messages
          from quota_use q where q.tenant = t.tenant) u
     where t.tenant = any ($3::text[]) and num_nonnulls(t.quota_octets, t.quota_messages) > 0
"""


@dataclass(frozen=True, slots=True)
class Debtor:
    """Whose quotas count what comes in for an account: its own, its domain's, its tenant's."""

    account: int
    domain: str
    tenant: str | None

    @property
    def names(self) -> tuple[tuple[str, str | None], ...]:
        """Scope and name of each."""
        return ("user", str(self.account)), ("domain", self.domain), ("tenant", self.tenant)


async def find_rooms(queries: Queries, debtors: Collection[Debtor]) -> dict[int, list[Room]]:
    """Return what each may still take, by account; those of a domain or a tenant share its room."""
    asked = (
        sorted({one.account for one in debtors}),
        sorted({one.domain for one in debtors}),
        sorted({one.tenant for one in debtors if one.tenant is not None}),
    )
    rows = await queries.fetch(_ROOMS, *asked)
    rooms = {(row["scope"], row["name"]): Room(row["octets"], row["messages"]) for row in rows}
    return {one.account: [rooms[key] for key in one.names if key in rooms] for one in debtors}
