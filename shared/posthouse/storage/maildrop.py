"""Maildrops: an account's INBOX as POP3 sees it, under an exclusive lease (RFC 1939 §4, §6).

The lease is a row with an end, renewed while the session lives: PostgreSQL's own locks would hold
one connection per session. Whoever comes to delete shows that the lease is still its own; a
lease that was lost (we slept, or the database was away) deletes nothing.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from posthouse.mail.errors import PermanentFailure, TemporaryFailure
from posthouse.storage.mailboxes import INBOX, find_mailbox
from posthouse.storage.messages import Expunged, expunge
from posthouse.storage.pool import Pool, Queries, transaction

LEASE = timedelta(seconds=30)
CHUNK_MESSAGES = 50_000
_ROW_OCTETS = 20


class InUse(TemporaryFailure):
    """Another session has this maildrop (RFC 2449 §8.1.1 [IN-USE])."""


class LeaseLost(PermanentFailure):
    """The lease ended and somebody else may have the maildrop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to a maildrop.

    Attributes:
        account: Whose.
        holder: Whose right.
    """

    account: int
    holder: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A maildrop as it stood when it was opened; three arrays, 20 octets a message.

    Attributes:
        mailbox: The INBOX's id.
        uidvalidity: RFC 3501 §2.3.1.1.
        uids: Ascending.
        contents: Content ids, in the order of the UIDs.
        sizes: Octets of prefix and object together.
    """

    mailbox: int
    uidvalidity: int
    uids: array[int]
    contents: array[int]
    sizes: array[int]


# One winner: the row is locked by the insert or the update, and only a lease that is over changes.
_TAKE = """
    insert into maildrop_leases as l (account_id, holder, until) values ($1, $2, now() + $3)
    on conflict (account_id) do update set holder = excluded.holder, until = excluded.until
     where l.until < now() or l.holder = excluded.holder
    returning holder
"""


async def take(queries: Queries, lease: Lease) -> None:
    """Take the lease for `LEASE`; raise `InUse` if another session has it."""
    if await queries.fetchval(_TAKE, lease.account, lease.holder, LEASE) is None:
        raise InUse("Maildrop is in use")


_RENEW = """
    update maildrop_leases l set until = now() + $3
      from unnest($1::bigint[], $2::uuid[]) as mine (account_id, holder)
     where l.account_id = mine.account_id and l.holder = mine.holder
 returning l.holder
"""


async def renew(queries: Queries, leases: Sequence[Lease]) -> set[UUID]:
    """Prolong ``leases``, one statement for all; return the holders that still have theirs."""
    accounts, holders = [one.account for one in leases], [one.holder for one in leases]
    return {row["holder"] for row in await queries.fetch(_RENEW, accounts, holders, LEASE)}


_RELEASE = "delete from maildrop_leases where account_id = $1 and holder = $2"


async def release(queries: Queries, lease: Lease) -> None:
    """Give the lease back; harmless if it is over."""
    await queries.execute(_RELEASE, lease.account, lease.holder)


_MESSAGES = """
    select string_agg(int8send(uid) || int8send(content_id) || int4send(size), '' order by uid)
      from (select uid, content_id, size from messages
             where account_id = $1 and mailbox_id = $2 and uid > $3 order by uid limit $4) page
"""


async def open_drop(queries: Queries, account: int) -> Drop:
    """Return the messages of the INBOX; raise `NoSuchMailbox` if the account is gone."""
    inbox = await find_mailbox(queries, account, INBOX)
    drop = Drop(
        mailbox=inbox.id,
        uidvalidity=inbox.uidvalidity,
        uids=array("q"),
        contents=array("q"),
        sizes=array("i"),
    )
    last = 0
    while True:
        packed = await queries.fetchval(_MESSAGES, account, inbox.id, last, CHUNK_MESSAGES)
        if not isinstance(packed, bytes):
            return drop
        for uid, content, size in struct.iter_unpack(">qqi", packed):
            drop.uids.append(uid)
            drop.contents.append(content)
            drop.sizes.append(size)
        last = drop.uids[-1]
        if len(packed) < CHUNK_MESSAGES * _ROW_OCTETS:
            return drop


# Row lock: nobody takes the maildrop between this look and our commit.
_STILL_MINE = """
    select 1 from maildrop_leases
     where account_id = $1 and holder = $2 and until >= now() for update
"""


async def delete(pool: Pool, lease: Lease, mailbox: int, uids: Sequence[int]) -> Expunged:
    """Remove ``uids`` for good and give the lease back, in one transaction (RFC 1939 §6).

    Raises `LeaseLost`, and then nothing was removed, and `NoSuchMailbox`.
    """
    async with transaction(pool) as tx:
        if await tx.fetchval(_STILL_MINE, lease.account, lease.holder) is None:
            raise LeaseLost("Maildrop lock was lost")
        done = await expunge(tx, lease.account, mailbox, uids, deleted_only=False)
        await release(tx, lease)
    return done
