r"""``\Seen`` of guests: which messages of somebody else's mailbox a reader has read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.storage.mailboxes import NoSuchMailbox
from posthouse.storage.messages import Stored, stored_of
from posthouse.storage.pool import Queries

_STORE = "select * from store_seen($1, $2, $3, $4, $5, $6)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    r"""What a reader has read.

    Attributes:
        modseq: The step of the mailbox at which that was so.
        ranges: UIDs from the first to before the last, ascending.
    """

    modseq: int
    ranges: tuple[tuple[int, int], ...]


async def store_seen(
    queries: Queries,
    box: tuple[int, int],
    reader: int,
    uids: Sequence[int],
    *,
    on: bool,
    unchanged_since: int | None = None,
) -> Stored:
    r"""Set or clear ``\Seen`` of ``uids`` for ``reader`` in a mailbox (its account and its id).

    Raises `NoSuchMailbox` if the mailbox is gone.
    """
    return stored_of(await queries.fetchrow(_STORE, *box, reader, list(uids), on, unchanged_since))


_READ = """
    select m.modseq,
           array(select lower(r) from unnest(s.uids) r) as firsts,
           array(select upper(r) from unnest(s.uids) r) as lasts
      from mailboxes m left join seen s on s.account_id = m.account_id
       and s.mailbox_id = m.mailbox_id and s.reader = $3
     where m.account_id = $1 and m.mailbox_id = $2
"""


async def read_seen(queries: Queries, box: tuple[int, int], reader: int) -> Reading:
    """Return what ``reader`` has read in a mailbox; raise `NoSuchMailbox`."""
    row = await queries.fetchrow(_READ, *box, reader)
    if row is None:
        raise NoSuchMailbox("Mailbox was deleted")
    ranges = tuple(zip(row["firsts"], row["lasts"], strict=True))
    return Reading(modseq=row["modseq"], ranges=ranges)


# By the ranges: to ask of each message whether it is in them unpacks all of them each time.
_COUNT_UNSEEN = """
    select b.mailbox_id, b.exists_ - coalesce(sum(c.many), 0)::bigint as unseen
      from mailboxes b
      left join seen s on s.account_id = b.account_id and s.mailbox_id = b.mailbox_id and s.reader = $3
      left join lateral unnest(s.uids) r (uids) on true
      left join lateral (
        select count(*) as many from messages m
         where m.account_id = b.account_id and m.mailbox_id = b.mailbox_id
           and m.uid >= lower(r.uids) and m.uid < upper(r.uids)
      ) c on r.uids is not null
     where b.account_id = $1 and b.mailbox_id = any ($2)
     group by b.account_id, b.mailbox_id
"""


async def count_unseen(
    queries: Queries, account: int, mailboxes: Sequence[int], reader: int
) -> dict[int, int]:
    """Return how many messages of each mailbox ``reader`` has not read."""
    rows = await queries.fetch(_COUNT_UNSEEN, account, list(mailboxes), reader)
    return {row["mailbox_id"]: row["unseen"] for row in rows}
