"""What STATUS and LIST tell that no mailbox row carries (RFC 3501 §6.3.10, RFC 9208 §4.1.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.storage.mailboxes import Mailbox
from posthouse.storage.pool import Queries


@dataclass(frozen=True, slots=True)
class FlagCounts:
    r"""How many messages of a mailbox lack ``\Seen``; how many have ``\Deleted``, with what octets."""

    unseen: int = 0
    deleted: int = 0
    deleted_octets: int = 0


_COUNT_FLAGS = """
    select mailbox_id, count(*) filter (where flags & 1 = 0) as unseen,
           count(*) filter (where flags & 8 <> 0) as deleted,
           coalesce(sum(size) filter (where flags & 8 <> 0), 0)::bigint as deleted_octets
      from messages where account_id = $1 and mailbox_id = any ($2) and flags & 9 <> 1
     group by mailbox_id
"""


async def count_flags(
    pool: Queries, account: int, mailboxes: Sequence[int]
) -> dict[int, FlagCounts]:
    """Return the counts of each mailbox."""
    rows = await pool.fetch(_COUNT_FLAGS, account, list(mailboxes))
    counted = {
        row["mailbox_id"]: FlagCounts(row["unseen"], row["deleted"], row["deleted_octets"])
        for row in rows
    }
    return {mailbox: counted.get(mailbox, FlagCounts()) for mailbox in mailboxes}


_HAS_CHILDREN = """
    select exists (select from mailboxes where account_id = $1 and starts_with(name, $2 || '/'))
"""


async def has_children(pool: Queries, mailbox: Mailbox) -> bool:
    """True if there are mailboxes below this one (RFC 3348 §3)."""
    return bool(await pool.fetchval(_HAS_CHILDREN, mailbox.account, mailbox.name))


_RECENT = """
    select count(*) from messages where account_id = $1 and mailbox_id = $2 and uid >= $3 and uid < $4
"""


async def count_recent(pool: Queries, mailbox: Mailbox) -> int:
    """Return how many messages of ``mailbox`` no session was told of (RFC 3501 §6.3.10)."""
    known = mailbox.recent_uid, mailbox.uidnext
    row = await pool.fetchrow(_RECENT, mailbox.account, mailbox.id, *known)
    return int(row["count"]) if row is not None else 0
