"""Delegates: addresses that accounts may send as besides their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.mail.address import parse_address
from posthouse.storage.directory.errors import NoSuchEntry
from posthouse.storage.pool import Queries

_ALLOW = """
    insert into delegates (address, account_id, on_behalf)
    select $1, account_id, $3 from accounts where address = $2
        on conflict (account_id, address) do update set on_behalf = excluded.on_behalf
"""
_REVOKE = """
    delete from delegates d using accounts a
     where a.account_id = d.account_id and d.address = $1 and a.address = $2
"""
_LIST = """
    select d.address, a.address as account, d.on_behalf
      from delegates d join accounts a using (account_id)
     where (d.address, a.address) > ($1, $2) and ($4::text is null or d.address = $4)
       and ($5::text is null or a.address = $5)
     order by d.address, a.address limit $3
"""
_LENT = """
    select a.address as account, d.address, d.on_behalf
      from accounts a join delegates d using (account_id) where a.address = any($1::text[])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegate:
    """A right to send as somebody.

    Attributes:
        address: As whom, in the form of `Address.key`; ``*@domain`` for all of a domain.
        account: Who may.
        on_behalf: The message must name the account in Sender (RFC 5322 §3.6.2).
    """

    address: str
    account: str
    on_behalf: bool = False


async def allow_delegate(queries: Queries, delegate: Delegate) -> None:
    """Let an account send as an address, or change how; `NoSuchEntry` if there is no such account.

    Raises `BadAddress` if the address is none.
    """
    key = parse_address(delegate.address).key
    account = delegate.account.lower()
    if not await queries.execute(_ALLOW, key, account, delegate.on_behalf):
        raise NoSuchEntry(f"no account {delegate.account}")


async def revoke_delegate(queries: Queries, address: str, account: str) -> None:
    """Forbid it again; raise `NoSuchEntry`."""
    if not await queries.execute(_REVOKE, address.lower(), account.lower()):
        raise NoSuchEntry(f"{account} may not send as {address} anyway")


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
    """Return of each account what it may send as, and whether on behalf only; each is there."""
    found: defaultdict[str, dict[str, bool]] = defaultdict(dict)
    for row in await queries.fetch(_LENT, list(accounts)):
        found[row["account"]][row["address"]] = row["on_behalf"]
    return {account: found[account] for account in accounts}
