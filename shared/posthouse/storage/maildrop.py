"""Maildrops: an account's INBOX as POP3 sees it, under an exclusive lease (RFC 1939 §4, §6).

The lease is a row with an end, renewed while the session lives: PostgreSQL's own locks would hold
one connection per session. Whoever comes to delete shows that the lease is still its own: one that
somebody else took meanwhile (we slept, or the database was away) deletes nothing.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

from posthouse.mail.errors import PermanentFailure, TemporaryFailure
from posthouse.storage.mailboxes import INBOX, find_mailbox
from posthouse.storage.messages import expunge
from posthouse.storage.pool import Pool, Queries, transaction

LEASE = timedelta(seconds=10)  # so long a killed process locks its maildrops
CHUNK_MESSAGES = 50_000


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
        octets: The sum of the sizes.
    """

    mailbox: int
    uidvalidity: int
    uids: array[int]
    contents: array[int]
    sizes: array[int]
    octets: int


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
    select string_agg(int8send(uid), '' order by uid) as uids,
           string_agg(int8send(content_id), '' order by uid) as contents,
           string_agg(int4send(size), '' order by uid) as sizes
      from (select uid, content_id, size from messages
             where account_id = $1 and mailbox_id = $2 and uid > $3 order by uid limit $4) page
"""


async def open_drop(queries: Queries, account: int) -> Drop:
    """Return the messages of the INBOX; raise `NoSuchMailbox` if the account is gone."""
    inbox = await find_mailbox(queries, account, INBOX)
    uids, contents, sizes = array("q"), array("q"), array("i")
    octets = last = 0
    is_more = True
    while is_more:
        row = await queries.fetchrow(_MESSAGES, account, inbox.id, last, CHUNK_MESSAGES)
        if row is None or row["uids"] is None:
            break
        page = _unpacked("q", row["uids"])
        page_sizes = _unpacked("i", row["sizes"])
        uids += page
        contents += _unpacked("q", row["contents"])
        sizes += page_sizes
        octets += sum(page_sizes)
        last, is_more = page[-1], len(page) == CHUNK_MESSAGES
    return Drop(
        mailbox=inbox.id,
        uidvalidity=inbox.uidvalidity,
        uids=uids,
        contents=contents,
        sizes=sizes,
        octets=octets,
    )


def _unpacked(kind: Literal["q", "i"], packed: bytes) -> array[int]:
    """Return numbers that PostgreSQL packed, in one step however many: big-endian, 8 or 4 octets."""
    numbers = array(kind, packed)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


_UIDLS = """
    select uid, uidl from uidls
     where account_id = $1 and content_id = any ($2::bigint[]) and mailbox_id = $3
"""


async def read_uidls(
    queries: Queries, account: int, mailbox: int, contents: Sequence[int]
) -> dict[int, str]:
    """Return the unique ids that messages with these contents brought along, by UID."""
    rows = await queries.fetch(_UIDLS, account, contents, mailbox)
    return {row["uid"]: row["uidl"] for row in rows}


# Row lock: nobody takes the maildrop between this look and our commit. A lease that is over, but that
# nobody took, is ours still.
_STILL_MINE = "select 1 from maildrop_leases where account_id = $1 and holder = $2 for update"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What a session removed: how many messages; the mailbox's modseq afterwards."""

    count: int
    modseq: int


async def delete(pool: Pool, lease: Lease, mailbox: int, uids: Sequence[int]) -> Removed:
    """Remove ``uids``, at least one, for good and give the lease back, in one transaction (RFC 1939 §6).

    Raises `LeaseLost`, and then nothing was removed, and `NoSuchMailbox`.
    """
    count = modseq = 0
    async with transaction(pool) as tx:
        if await tx.fetchval(_STILL_MINE, lease.account, lease.holder) is None:
            raise LeaseLost("Maildrop lock was lost")
        for start in range(0, len(uids), CHUNK_MESSAGES):
            chunk = uids[start : start + CHUNK_MESSAGES]
            done = await expunge(tx, lease.account, mailbox, chunk, deleted_only=False)
            count, modseq = count + len(done.uids), done.modseq
        await release(tx, lease)
    return Removed(count=count, modseq=modseq)
