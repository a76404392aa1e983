"""Delegates: addresses that accounts, and groups of them, may send as besides their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.mail.address import parse_address
from posthouse.mail.rights import GROUP
from posthouse.storage.directory.errors import NoSuchEntry
from posthouse.storage.pool import Queries

_ALLOW = """
    insert into delegates (address, account_id, on_behalf)
    select $1, account_id, $3 from accounts where address = $2
        on conflict (account_id, address) do update set on_behalf = excluded.on_behalf
"""
_ALLOW_GROUP = """
    insert into group_delegates (address, grp, on_behalf)
    select $1, address, $3 from aliases where address = $2
        on conflict (grp, address) do update set on_behalf = excluded.on_behalf
"""
_REVOKE = """
    delete from delegates d using accounts a
     where a.account_id = d.account_id and d.address = $1 and a.address = $2
"""
_REVOKE_GROUP = "delete from group_delegates where address = $1 and grp = $2"
_LIST = """
    select address, account, on_behalf from (
      select d.address, a.address as account, d.on_behalf from delegates d join accounts a using (account_id)
       union all
      select address, 'group:' || grp, on_behalf from group_delegates
    ) lent
     where (address, account) > ($1, $2) and ($4::text is null or address = $4)
       and ($5::text is null or account = $5)
     order by address, account limit $3
"""
# Groups are looked for only where something is lent to one at all.
_LENT = """
    select a.address as account, d.address, d.on_behalf
      from accounts a join delegates d using (account_id) where a.address = any($1::text[])
     union all
    select asked.account, d.address, d.on_behalf
      from unnest($1::text[]) as asked (account) cross join lateral groups_of(asked.account) grp
      join group_delegates d using (grp)
     where exists (select from group_delegates)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegate:
    """A right to send as somebody.

    Attributes:
        address: As whom, in the form of `Address.key`; ``*@domain`` for all of a domain.
        account: Who may; ``group:`` with the address of an alias: all whom it leads to.
        on_behalf: The message must name the account in Sender (RFC 5322 §3.6.2).
    """

    address: str
    account: str
    on_behalf: bool = False


async def allow_delegate(queries: Queries, delegate: Delegate) -> None:
    """Let an account or a group send as an address, or change how; `NoSuchEntry` if there is none.

    Raises `BadAddress` if the address is none.
    """
    key = parse_address(delegate.address).key
    sql, who = _of_whom(delegate.account, _ALLOW, _ALLOW_GROUP)
    if not await queries.execute(sql, key, who, delegate.on_behalf):
        raise NoSuchEntry(f"no account {delegate.account}")


async def revoke_delegate(queries: Queries, address: str, account: str) -> None:
    """Forbid it again; raise `NoSuchEntry`."""
    sql, who = _of_whom(account, _REVOKE, _REVOKE_GROUP)
    if not await queries.execute(sql, address.lower(), who):
        raise NoSuchEntry(f"{account} may not send as {address} anyway")


def _of_whom(account: str, sql: str, group_sql: str) -> tuple[str, str]:
    """Return the statement for an account or a group, and its address."""
    who = account.lower()
    if who.startswith(GROUP):
        return group_sql, who.removeprefix(GROUP)
    return sql, who


async def delegates(
    queries: Queries,
    after: tuple[str, str] = ("", ""),
    limit: int = 1000,
    *,
    address: str | None = None,
    account: str | None = None,
) -> tuple[Delegate, ...]:
    """Return up to ``limit`` of them behind the pair of address and account ``after``."""
    only = [None if one is None else one.lower() for one in (address, account)]
    rows = await queries.fetch(_LIST, *after, limit, *only)
    return tuple(Delegate(**dict(row)) for row in rows)


async def lent(queries: Queries, accounts: Sequence[str]) -> dict[str, dict[str, bool]]:
    """Return of each account what it may send as, and whether on behalf only; each is there.

    What is lent to it and to its groups adds up: as if it were its own counts for more.
    """
    found: defaultdict[str, dict[str, bool]] = defaultdict(dict)
    for row in await queries.fetch(_LENT, list(accounts)):
        mine, address = found[row["account"]], row["address"]
        mine[address] = row["on_behalf"] and mine.get(address, True)
    return {account: found[account] for account in accounts}
