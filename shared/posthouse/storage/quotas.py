"""Quotas of accounts, domains and tenants: limits and what is used (RFC 9208, decision 0004).

An account's use is the sum over its mailboxes, exact at any moment. A domain's and a tenant's are
summed by the postmaster now and then (`sum_up`): they can be passed by what comes in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from posthouse.storage.pool import Queries, Row


@dataclass(slots=True)
class Room:
    """What may still come in; None for anything."""

    octets: int | None
    messages: int | None

    def take(self, octets: int) -> bool:
        """Take a message's room if there is enough, and say whether there was."""
        is_enough = (self.octets is None or octets <= self.octets) and (
            self.messages is None or self.messages > 0
        )
        if is_enough:
            self.octets = None if self.octets is None else self.octets - octets
            self.messages = None if self.messages is None else self.messages - 1
        return is_enough


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


_QUOTAS = """
    select 'user' as scope, a.address as name, a.quota_octets, a.quota_messages, a.quota_mailboxes,
           u.octets, u.messages, u.mailboxes
      from accounts a cross join lateral (
        select coalesce(sum(octets), 0)::bigint as octets, coalesce(sum(exists_), 0) as messages,
               count(*) as mailboxes
          from mailboxes m where m.account_id = a.account_id) u
     where a.address = $1
     union all
    select 'domain', domain, quota_octets, quota_messages, quota_mailboxes, used_octets,
           used_messages, used_mailboxes from domains where domain = $2
     union all
    select 'tenant', tenant, quota_octets, quota_messages, quota_mailboxes, used_octets,
           used_messages, used_mailboxes from tenants where tenant = $3
"""


async def find_quota(queries: Queries, scope: Scope, name: str) -> Quota | None:
    """Return one quota, None if there is no such account, domain or tenant."""
    asked = [name if one is scope else None for one in Scope]
    row = await queries.fetchrow(_QUOTAS, *asked)
    return None if row is None else _quota_of(row)


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
    used = {name: int(row[name]) for name in ("octets", "messages", "mailboxes")}
    return Quota(scope=Scope(row["scope"]), name=row["name"], limits=limits, **used)


_SET = {
    Scope.USER: """update accounts set quota_octets = $2, quota_messages = $3, quota_mailboxes = $4
                    where address = $1""",
    Scope.DOMAIN: """update domains set quota_octets = $2, quota_messages = $3, quota_mailboxes = $4
                      where domain = $1""",
    Scope.TENANT: """update tenants set quota_octets = $2, quota_messages = $3, quota_mailboxes = $4
                      where tenant = $1""",
}


async def set_limits(queries: Queries, scope: Scope, name: str, limits: Limits) -> bool:
    """Replace all limits of a quota; return False if there is no such name."""
    values = (limits.octets, limits.messages, limits.mailboxes)
    return bool(await queries.execute(_SET[scope], name, *values))


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


# Only what is limited is summed; rows whose sums are as before stay as they are.
_SUM_DOMAINS = """
    with wanted as (
      select d.domain from domains d left join tenants t using (tenant)
       where num_nonnulls(d.quota_octets, d.quota_messages, d.quota_mailboxes,
                          t.quota_octets, t.quota_messages, t.quota_mailboxes) > 0
    ), sums as (
      select w.domain, coalesce(sum(m.octets), 0)::bigint as octets, coalesce(sum(m.exists_), 0) as messages,
             count(m.mailbox_id) as mailboxes
        from wanted w left join accounts a using (domain) left join mailboxes m using (account_id)
       group by w.domain
    )
    update domains d set used_octets = s.octets, used_messages = s.messages, used_mailboxes = s.mailboxes
      from sums s where s.domain = d.domain
       and (d.used_octets, d.used_messages, d.used_mailboxes) is distinct from (s.octets, s.messages, s.mailboxes)
"""
_SUM_TENANTS = """
    with sums as (
      select t.tenant, coalesce(sum(d.used_octets), 0)::bigint as octets,
             coalesce(sum(d.used_messages), 0)::bigint as messages,
             coalesce(sum(d.used_mailboxes), 0)::bigint as mailboxes
        from tenants t left join domains d using (tenant)
       where num_nonnulls(t.quota_octets, t.quota_messages, t.quota_mailboxes) > 0 group by t.tenant
    )
    update tenants t set used_octets = s.octets, used_messages = s.messages, used_mailboxes = s.mailboxes
      from sums s where s.tenant = t.tenant
       and (t.used_octets, t.used_messages, t.used_mailboxes) is distinct from (s.octets, s.messages, s.mailboxes)
"""


async def sum_up(queries: Queries) -> None:
    """Sum what domains and tenants with limits use."""
    await queries.execute(_SUM_DOMAINS)
    await queries.execute(_SUM_TENANTS)
