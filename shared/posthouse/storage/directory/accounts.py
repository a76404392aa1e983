"""Accounts: who has mailboxes here, and what proves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from posthouse.mail.address import Address, parse_address
from posthouse.storage.directory.errors import AlreadyThere, NoSuchEntry
from posthouse.storage.directory.precedence import hold, refuse, shadows_of_accounts
from posthouse.storage.directory.secrets import NO_KEYS, Keys
from posthouse.storage.pool import Pool, Queries, Row, Tx, transaction

ADD_BATCH = 1000  # accounts per statement at import

# INBOX is in every account (RFC 3501 §5.1); the others carry their special use (RFC 6154 §2).
_ADD = """
    with added as (
        insert into accounts
               (address, domain, password_hash, quota_octets, scram_sha_256, cram_md5)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[])
            on conflict (address) do nothing
     returning account_id, address
    ), boxes as (
    insert into mailboxes (account_id, name, special_use)
    select account_id, name, special_use
      from added, (values ('INBOX', null), ('Drafts', '\\Drafts'), ('Sent', '\\Sent'),
                          ('Junk', '\\Junk'), ('Trash', '\\Trash'), ('Archive', '\\Archive'))
           as standard (name, special_use)
    )
    select account_id, address from added
"""
# The mailboxes go first, by themselves: whoever files into one meanwhile is waited for, so that the
# next statement sees what was filed, and whoever comes later finds none.
_REMOVE_MAILBOXES = """
    delete from mailboxes where account_id = (select account_id from accounts where address = $1)
"""
# Nothing below mailboxes has foreign keys: whoever removes an account removes its rows.
_REMOVE = """
    with gone as (delete from accounts where address = $1 returning account_id),
         m as (delete from messages where account_id in (select account_id from gone)),
         c as (delete from contents where account_id in (select account_id from gone)),
         s as (delete from search where account_id in (select account_id from gone)),
         p as (delete from previews where account_id in (select account_id from gone)),
         n as (delete from unindexed where account_id in (select account_id from gone)),
         h as (delete from changes where account_id in (select account_id from gone)),
         l as (delete from maildrop_leases where account_id in (select account_id from gone))
    select account_id from gone
"""
_ACCOUNT = """
    select a.account_id, a.address, a.enabled, a.quota_octets,
           (select coalesce(sum(m.octets), 0)::bigint from mailboxes m
             where m.account_id = a.account_id) as used_octets
      from accounts a
"""
_BY_ADDRESS = f"{_ACCOUNT} where a.address = $1"
_LIST = f"{_ACCOUNT} where a.address > $1 order by a.address limit $2"
_LIST_OF_DOMAIN = f"""
    {_ACCOUNT} where a.address > $1 and a.domain = $3 order by a.address limit $2
"""
_SET_QUOTA = "update accounts set quota_octets = $2 where address = $1"
_SET_ENABLED = "update accounts set enabled = $2 where address = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody with mailboxes here.

    Attributes:
        id: Its number, which every mailbox query carries.
        address: Its address in the form of `Address.key`.
        enabled: False: may not log in nor send, and no mail is taken (550 5.2.1); what was routed
            before is still delivered.
        quota_octets: What all its mailboxes may hold together; None for no limit.
        used_octets: What they hold now.
    """

    id: int
    address: str
    enabled: bool
    quota_octets: int | None
    used_octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """An account to be made.

    Attributes:
        address: As written; it is kept in the form of `Address.key`.
        password_hash: Argon2id in PHC form, or a hash that others made.
        quota_octets: What all its mailboxes may hold together; None for no limit.
        keys: Made of the same password.
    """

    address: str
    password_hash: str = field(repr=False)
    quota_octets: int | None = None
    keys: Keys = NO_KEYS


async def add_account(
    queries: Pool | Tx,
    address: str,
    password_hash: str,
    quota_octets: int | None = None,
    *,
    keys: Keys = NO_KEYS,
    force: bool = False,
) -> int:
    """Make an account with its mailboxes and return its id.

    Raises `AlreadyThere`, `NoSuchEntry` if the domain is not ours, `BadAddress`, and `Shadowed` if
    it would get no mail or take another's, unless that is meant (``force``).
    """
    new = NewAccount(
        address=address, password_hash=password_hash, quota_octets=quota_octets, keys=keys
    )
    added = await add_accounts(queries, [new], force=force)
    if not added:
        raise AlreadyThere(f"account {address} is there already")
    return next(iter(added.values()))


async def add_accounts(
    queries: Pool | Tx, accounts: Sequence[NewAccount], *, force: bool = False
) -> dict[str, int]:
    """Make many accounts, all or none; return the ids of the new ones by address.

    Those that exist already are left as they are. Raises as `add_account` does.
    """
    addresses = [parse_address(account.address) for account in accounts]
    added: dict[str, int] = {}
    async with transaction(queries) as tx:
        await hold(tx, (address.domain for address in addresses))
        refuse(await shadows_of_accounts(tx, addresses), force=force)
        for start in range(0, len(accounts), ADD_BATCH):
            some = slice(start, start + ADD_BATCH)
            added |= await _add(tx, addresses[some], accounts[some])
    return added


async def _add(
    tx: Tx, addresses: Sequence[Address], accounts: Sequence[NewAccount]
) -> dict[str, int]:
    rows = await tx.fetch(
        _ADD,
        [address.key for address in addresses],
        [address.domain for address in addresses],
        [account.password_hash for account in accounts],
        [account.quota_octets for account in accounts],
        [account.keys.scram_sha_256 for account in accounts],
        [account.keys.cram_md5 for account in accounts],
    )
    return {row["address"]: row["account_id"] for row in rows}


async def remove_account(queries: Pool | Tx, address: str) -> None:
    """Remove an account with everything in its mailboxes; raise `NoSuchEntry`."""
    async with transaction(queries) as tx:
        await tx.execute(_REMOVE_MAILBOXES, address.lower())
        if not await tx.fetch(_REMOVE, address.lower()):
            raise NoSuchEntry(f"no account {address}")


async def account_by_address(queries: Queries, address: str) -> Account | None:
    """Return the account of exactly this address."""
    row = await queries.fetchrow(_BY_ADDRESS, address.lower())
    return None if row is None else account_of(row)


async def accounts(
    queries: Queries, after: str = "", limit: int = 1000, *, domain: str | None = None
) -> tuple[Account, ...]:
    """Return up to ``limit`` accounts whose address sorts after ``after``, of one domain or all."""
    if domain is None:
        rows = await queries.fetch(_LIST, after.lower(), limit)
    else:
        rows = await queries.fetch(_LIST_OF_DOMAIN, after.lower(), limit, domain.lower())
    return tuple(map(account_of, rows))


def account_of(row: Row) -> Account:
    """Make the value of a row that has the account's columns."""
    return Account(
        id=row["account_id"],
        address=row["address"],
        enabled=row["enabled"],
        quota_octets=row["quota_octets"],
        used_octets=row["used_octets"],
    )


async def set_quota(queries: Queries, address: str, quota_octets: int | None) -> None:
    """Replace the quota, None for no limit; raise `NoSuchEntry`."""
    await _update(queries, _SET_QUOTA, address, quota_octets)


async def set_enabled(queries: Queries, address: str, *, enabled: bool) -> None:
    """Allow or forbid logging in; raise `NoSuchEntry`."""
    await _update(queries, _SET_ENABLED, address, enabled)


async def _update(queries: Queries, sql: str, address: str, value: object) -> None:
    if not await queries.execute(sql, address.lower(), value):
        raise NoSuchEntry(f"no account {address}")
