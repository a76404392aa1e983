"""What may go because nobody refers to it any more: history, contents, objects.

    message expunged ─▶ noted in `expunged` ─▶ quarantine ─▶ contents and search text go
                                                                  │ no contents show the object,
                                                                  ▼ no open recipient needs it
                                                               the object may go

Everything here takes small bites that commit by themselves, so it may be stopped anywhere, and is
harmless when two do it at once. Contents come to life with their first message and are shared by
copying one; so what no message shows, none ever will. An object's last reference is never followed
by a new one either: filing needs an open recipient, and an appended message has a new object.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from posthouse.mail.ids import day_of
from posthouse.storage.pool import Pool, Queries, transaction

BITE = 500  # rows per transaction
NOTES = 25  # of up to 200 contents each, per transaction
BOXES = 500  # mailboxes looked at by one statement
STEPS_PER_BOX = 1000  # rows of history taken from one mailbox by one statement

# `skip locked`: two collectors share the work.
_TAKE_EXPUNGED = """
    delete from expunged where ctid = any (array(
        select ctid from expunged where at <= now() - $1::interval
         order by at limit $2 for update skip locked))
 returning account_id, contents
"""
# One statement, so one moment: moving a message away makes the new one in the same transaction.
_COLLECT = """
    with dead as materialized (
        select content_id from contents c
         where c.account_id = $1 and c.content_id = any ($2::bigint[])
           and c.content_id not in (select content_id from messages
                                     where account_id = $1 and content_id = any ($2))
    ), folded as (
        delete from search where account_id = $1 and content_id in (select content_id from dead)
    ), previewed as (
        delete from previews where account_id = $1 and content_id in (select content_id from dead)
    ), named as (
        delete from uidls where account_id = $1 and content_id in (select content_id from dead)
    )
    delete from contents where account_id = $1 and content_id in (select content_id from dead)
"""
_BOXES = """
    select account_id, mailbox_id, modseq from mailboxes
     where (account_id, mailbox_id) > ($1, $2) order by account_id, mailbox_id limit $3
"""
_PRUNE = """
    with old as materialized (
        select c.account_id, c.mailbox_id, c.modseq
          from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as b (account_id, mailbox_id, upto)
          cross join lateral (
            select * from changes where account_id = b.account_id and mailbox_id = b.mailbox_id
               and modseq <= b.upto order by modseq limit $4) c
    )
    delete from changes c using old
     where c.account_id = old.account_id and c.mailbox_id = old.mailbox_id and c.modseq = old.modseq
"""
_NEEDED = """
    select k.id from unnest($1::date[], $2::uuid[]) as k (day, id)
     where exists (select from contents c where c.object_id = k.id)
        or exists (select from recipients r
                    where r.day = k.day and r.envelope = k.id and r.settled_at is null)
"""
# Judged, or all of its recipients ended: nobody asks for the message as it came any more.
_UNJUDGED = """
    select k.id from unnest($1::date[], $2::uuid[]) as k (day, id)
      join envelopes e using (day, id)
     where e.unjudged and exists (select from recipients r where r.day = k.day
                                     and r.envelope = k.id and r.settled_at is null)
"""
_END_LETTERS = """
    delete from dead_letters where id = any (array(
        select id from dead_letters where state <> 'waiting' and ended_at < now() - $1::interval
         order by id limit $2))
"""


async def collect_contents(pool: Pool, quarantine: timedelta) -> int:
    """Remove the contents that no message has shown for ``quarantine``; return how many."""
    total = 0
    while True:
        async with transaction(pool) as tx:
            taken = await tx.fetch(_TAKE_EXPUNGED, quarantine, NOTES)
            accounts: defaultdict[int, list[int]] = defaultdict(list)
            for row in taken:
                accounts[row["account_id"]] += row["contents"]
            for account, contents in sorted(accounts.items()):
                total += await tx.execute(_COLLECT, account, contents)
        if len(taken) < NOTES:
            return total


async def prune_history(pool: Pool, keep: int) -> int:
    """Forget all but the last ``keep`` steps of every mailbox; return how many went.

    A reader who knew an older step sees the gap and reads the mailbox anew.
    """
    total, last = 0, (0, 0)
    while boxes := await pool.fetch(_BOXES, *last, BOXES):
        accounts = [row["account_id"] for row in boxes]
        mailboxes = [row["mailbox_id"] for row in boxes]
        edges = [row["modseq"] - keep for row in boxes]
        while gone := await pool.execute(_PRUNE, accounts, mailboxes, edges, STEPS_PER_BOX):
            total += gone
        last = (accounts[-1], mailboxes[-1])
    return total


async def needed_objects(queries: Queries, idents: Sequence[UUID]) -> set[UUID]:
    """Return which of these messages' objects somebody still needs: a reader or a delivery.

    What was accepted a moment ago may have its object before its rows: ask for older ones only.
    """
    rows = await queries.fetch(_NEEDED, [day_of(ident) for ident in idents], list(idents))
    return {row["id"] for row in rows}


async def unjudged_objects(queries: Queries, idents: Sequence[UUID]) -> set[UUID]:
    """Return which of these messages somebody still needs as they came; ask as `needed_objects`."""
    rows = await queries.fetch(_UNJUDGED, [day_of(ident) for ident in idents], list(idents))
    return {row["id"] for row in rows}


async def forget_ended_letters(pool: Pool, older_than: timedelta) -> int:
    """Remove dead letters that were replayed or discarded so long ago; return how many."""
    total = 0
    while gone := await pool.execute(_END_LETTERS, older_than, BITE):
        total += gone
    return total
