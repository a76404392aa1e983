"""Shared trees: mailboxes that are nobody's own, as an account that nobody logs in to.

Mail to its address is filed into its INBOX; people see it below ``shared/`` as its ACLs let them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.storage.directory.accounts import add_account
from posthouse.storage.directory.errors import NoSuchEntry
from posthouse.storage.mailboxes import acl_text
from posthouse.storage.pool import Pool, Queries, Tx, transaction

NO_HASH = ""  # no password proves anything, whatever is typed

# The standard folders are for people.
_MAKE_SHARED = """
    with made as (
      update accounts set is_shared = true where account_id = $1 returning account_id
    )
    delete from mailboxes m using made
     where m.account_id = made.account_id and m.name <> 'INBOX'
"""
_GRANT = "update mailboxes set acl = $2 where account_id = $1 and name = 'INBOX'"
_LIST = """
    select a.address, count(m.mailbox_id) as mailboxes, coalesce(sum(m.octets), 0)::bigint as octets
      from accounts a left join mailboxes m using (account_id)
     where a.is_shared and a.address > $1 group by a.address order by a.address limit $2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedTree:
    """One of them.

    Attributes:
        address: Of its INBOX, in the form of `Address.key`.
        mailboxes: How many there are.
        octets: What they hold.
    """

    address: str
    mailboxes: int
    octets: int


async def add_shared_tree(
    queries: Pool | Tx, address: str, managers: Sequence[str], rights: str, *, force: bool = False
) -> None:
    """Make a tree with an INBOX on which ``managers`` (identifiers) have ``rights``.

    Raises as `add_account` does.
    """
    async with transaction(queries) as tx:
        account = await add_account(tx, address, NO_HASH, force=force)
        await tx.execute(_MAKE_SHARED, account)
        await tx.execute(_GRANT, account, acl_text(dict.fromkeys(managers, rights)))


async def shared_trees(queries: Queries, after: str = "", limit: int = 1000) -> list[SharedTree]:
    """Return up to ``limit`` trees whose address sorts after ``after``."""
    rows = await queries.fetch(_LIST, after.lower(), limit)
    return [SharedTree(**dict(row)) for row in rows]


_IS_SHARED = "select is_shared from accounts where address = $1"


async def demand_shared_tree(queries: Queries, address: str) -> None:
    """Raise `NoSuchEntry` if there is no shared tree of this address."""
    if not await queries.fetchval(_IS_SHARED, address.lower()):
        raise NoSuchEntry(f"no shared tree {address}")
