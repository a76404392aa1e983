"""Whose mailboxes somebody else may see, and who may do what with them (RFC 4314).

The ACL of a mailbox stands in its row. `posthouse.mail.rights` says what it means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from posthouse.mail.rights import ANYONE, GROUP
from posthouse.storage.mailboxes import (
    COLUMNS,
    MAX_MAILBOXES,
    ROWS_AT_ONCE,
    Mailbox,
    NoSuchMailbox,
    acl_of,
    acl_text,
    mailbox_of,
)
from posthouse.storage.pool import Pool, Queries, Row, Tx, transaction

MAX_GROUP_DEPTH = 5  # groups within groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose mailboxes.

    Attributes:
        account: Its id.
        address: In the form of `Address.key`.
        is_shared: Nobody's own: a tree of shared mailboxes.
        tenant: Of its domain, None if it has none; "anyone" means all accounts of the same.
    """

    account: int
    address: str
    is_shared: bool
    tenant: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """For whom an ACL can have entries.

    Attributes:
        address: Of the account.
        names: Its address and the groups it is in; not "anyone", see `identifiers`.
        tenant: Of its domain.
    """

    address: str
    names: frozenset[str]
    tenant: str | None

    def identifiers(self, tenant: str | None) -> frozenset[str]:
        """Return the identifiers that stand for it on mailboxes of a tenant."""
        return self.names | {ANYONE} if tenant == self.tenant else self.names


_GROUPS = """
    with recursive within (address, depth) as (
      select $1::text, 0
      union
      select a.address, w.depth + 1 from within w join aliases a on lowered(a.targets) @> array[w.address]
       where w.depth < $2
    )
    select array_agg(distinct w.address) filter (where w.depth > 0) as groups,
           (select d.tenant from accounts a join domains d using (domain) where a.address = $1) as tenant
      from within w
"""


async def identify(queries: Queries, address: str) -> Identity:
    """Return for whom the account of this address counts."""
    row = await queries.fetchrow(_GROUPS, address, MAX_GROUP_DEPTH)
    groups: list[str] = (row["groups"] or []) if row is not None else []
    names = frozenset({address, *(GROUP + group for group in groups)})
    return Identity(address=address, names=names, tenant=row["tenant"] if row is not None else None)


_OWNER = """
    select a.account_id as account, a.address, a.is_shared, d.tenant
      from accounts a join domains d using (domain) where a.address = $1
"""


async def find_owner(queries: Queries, address: str) -> Owner | None:
    """Return whose mailboxes are called by this address, None if nobody's."""
    row = await queries.fetchrow(_OWNER, address)
    return None if row is None else _owner_of(row)


def _owner_of(row: Row) -> Owner:
    return Owner(**{name: row[name] for name in ("account", "address", "is_shared", "tenant")})


_COLUMNS_OF_M = ", ".join(
    f"m.{column.strip()}" for column in " ".join(COLUMNS.split()).split(",") if column
)
# What names this account by the index on ACLs, what is for anyone by that of its tenant: what other
# tenants share costs nothing. Few ids first, then their rows: who asks is unknown to a kept plan.
_SHARED_WITH = f"""
    with named as materialized (
      select account_id, mailbox_id from mailboxes where acl ?| $2 and account_id <> $1
    ), found as materialized (
      (select * from named order by account_id, mailbox_id limit $4)
       union
      (select account_id, mailbox_id from shown_to_anyone where tenant = $3 and account_id <> $1
        order by account_id, mailbox_id limit $4)
    )
    select {_COLUMNS_OF_M}, a.address, a.is_shared, d.tenant
      from found join mailboxes m using (account_id, mailbox_id)
      join accounts a using (account_id) join domains d using (domain)
     order by a.address, m.name limit $4
"""  # noqa: S608  constants only


async def shared_with(
    queries: Queries, account: int, identity: Identity
) -> list[tuple[Owner, Mailbox]]:
    """Return the mailboxes of others that name this account or show themselves to its tenant, by owner.

    At most 10,000: of more, those of the accounts that were there first.
    """
    names, tenant = sorted(identity.names), identity.tenant or ""
    rows = await queries.fetch(_SHARED_WITH, account, names, tenant, MAX_MAILBOXES)
    found: list[tuple[Owner, Mailbox]] = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        found += [(_owner_of(row), mailbox_of(row)) for row in rows[start : start + ROWS_AT_ONCE]]
        await asyncio.sleep(0)  # others get their turn
    return found


# The levels above that are mailboxes; of a shared tree, and for guests, INBOX is the root.
_PARENTS = f"""
    select {COLUMNS} from mailboxes
     where account_id = $1 and (starts_with($2, name || '/') or $3 and name = 'INBOX')
     order by name = 'INBOX' and not starts_with($2, 'INBOX/'), length(name) desc
"""  # noqa: S608  constants only


async def parents_of(
    queries: Queries, account: int, name: str, *, below_inbox: bool
) -> list[Mailbox]:
    """Return the mailboxes above ``name``, the nearest first (RFC 4314 §4 CREATE)."""
    rows = await queries.fetch(_PARENTS, account, name, below_inbox)
    return [mailbox_of(row) for row in rows]


# Row lock: two changes of one ACL come one after the other.
_LOCK = "select acl from mailboxes where account_id = $1 and mailbox_id = $2 for update"
_SET = "update mailboxes set acl = $3 where account_id = $1 and mailbox_id = $2"

Edit = Callable[[Mapping[str, str]], Mapping[str, str]]


async def change_acl(queries: Pool | Tx, account: int, mailbox: int, edit: Edit) -> None:
    """Replace the ACL of a mailbox by what ``edit`` makes of it; raise `NoSuchMailbox`."""
    async with transaction(queries) as tx:
        row = await tx.fetchrow(_LOCK, account, mailbox)
        if row is None:
            raise NoSuchMailbox("No such mailbox")
        await tx.execute(_SET, account, mailbox, acl_text(edit(acl_of(row["acl"]) or {})))


_KNOWN = """
    select address from unnest($1::text[]) as asked (address)
     where exists (select from accounts a where a.address = asked.address)
        or exists (select from aliases l where 'group:' || l.address = asked.address)
"""


async def known_identifiers(queries: Queries, names: Collection[str]) -> set[str]:
    """Return those of ``names`` that are accounts or ``group:`` with an alias."""
    return {row["address"] for row in await queries.fetch(_KNOWN, sorted(names))}
