"""Filing: mail into mailboxes, exactly once (promise 2), many deliveries in one transaction.

    lock ledger rows ─▶ lock mailboxes ─▶ decide quota and UIDs ─▶ write all ─▶ commit
    (by day, id, n)     (by account, id)   (`_plan`, pure)

A recipient's ledger row is settled in the same transaction that files its message, and a row that
is settled already is passed over, so a redelivered or doubled envelope changes nothing. Locks are
taken in one order by everybody, so two batches wait for each other and never in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import TypeAlias
from uuid import UUID

from posthouse.mail.envelope import Summary
from posthouse.mail.ids import day_of
from posthouse.storage.ledger.entries import NewMail, enter, storable
from posthouse.storage.mailboxes import INBOX
from posthouse.storage.pool import Pool, Row, Tx, transaction
from posthouse.storage.quotas import Debtor, Room, find_rooms

Key: TypeAlias = tuple[UUID, int]  # envelope and number: a row of the ledger
Wish: TypeAlias = tuple[int, str, str]  # account, the folder its address asks for, who posts there
BoxKey: TypeAlias = tuple[int, int]  # account and mailbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """One message for one recipient; its object is durable and its ledger row committed.

    Attributes:
        id: The message.
        n: The recipient's number in the ledger.
        account: Whose mailbox.
        folder: The mailbox asked for by the address; empty for INBOX.
        poster: The account that submitted it; empty for a stranger.
        prefix: Octets that stand before the object for this recipient, whole header lines.
        size: Octets of the object.
        summary: The scan of the object.
        receipt: A report of the arrival, its octets stored: enters the ledger with the filing.
    """

    id: UUID
    n: int
    account: int
    folder: str
    prefix: bytes
    size: int
    summary: Summary
    poster: str = ""
    receipt: NewMail | None = None

    @property
    def key(self) -> Key:
        """Its row in the ledger."""
        return self.id, self.n

    @property
    def wish(self) -> Wish:
        """Where it is to go."""
        return self.account, storable(self.folder), storable(self.poster) if self.folder else ""

    @property
    def octets(self) -> int:
        """RFC822.SIZE: what it takes of the quota."""
        return len(self.prefix) + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """It is in the mailbox and its ledger row says so.

    Attributes:
        account: Whose mailbox.
        mailbox: The mailbox's id.
        folder: The mailbox's name.
        uid: RFC 3501 §2.3.1.1.
        modseq: The mailbox's after the commit (RFC 7162 §3.1).
    """

    account: int
    mailbox: int
    folder: str
    uid: int
    modseq: int


class Refused(Enum):
    """Why nothing was filed; the ledger row is as it was."""

    SETTLED = "already settled"  # an earlier delivery of the same envelope did it all
    UNKNOWN = "not in the ledger"  # a human must look: filing it could not be told from doubling it
    NO_ACCOUNT = "no such account"
    OVER_QUOTA = "mailbox full"
    TOO_LATE = "time to deliver over"  # said by who files: nothing is asked of the mailbox
    LATE = "time wanted over, its sender is told first"  # likewise


Result: TypeAlias = Filed | Refused


async def file(pool: Pool | Tx, batch: Sequence[Filing]) -> list[Result]:
    """File ``batch`` and settle its ledger rows, all in one transaction; one result each, in order.

    The same recipient twice in a batch is filed once. Raises `Unavailable` when the commit was
    not confirmed: repeat it, what was committed will be found settled.
    """
    async with transaction(pool) as tx:
        results = await _lock_ledger(tx, batch)
        wanted = {one.key: one for one in batch if one.key not in results}
        planned = _plan(wanted, await _lock_mailboxes(tx, wanted.values()))
        await _write(
            tx, [(wanted[key], to) for key, to in planned.items() if isinstance(to, Filed)]
        )
    seen: set[Key] = set()
    answers: list[Result] = []
    for one in batch:
        again = one.key in seen and isinstance(planned.get(one.key), Filed)
        seen.add(one.key)
        answers.append(Refused.SETTLED if again else results.get(one.key) or planned[one.key])
    return answers


# Row locks: whoever else has this recipient waits here until our commit, then finds it settled.
_LOCK_LEDGER = """
    select r.envelope, r.n, r.settled_at is not null as settled
      from unnest($1::date[], $2::uuid[], $3::int[]) as asked (day, envelope, n)
      join recipients r using (day, envelope, n)
     order by r.day, r.envelope, r.n for update of r
"""


async def _lock_ledger(tx: Tx, batch: Sequence[Filing]) -> dict[Key, Result]:
    """Return the recipients that are not to be filed: settled, or not in the ledger at all."""
    keys = {one.key for one in batch}
    days, ids, numbers = _columns(((day_of(id_), id_, n) for id_, n in keys), 3)
    rows = await tx.fetch(_LOCK_LEDGER, days, ids, numbers)
    found = {(row["envelope"], row["n"]): row["settled"] for row in rows}
    refused: dict[Key, Result] = {key: Refused.SETTLED for key in keys if found.get(key)}
    return refused | dict.fromkeys((key for key in keys if key not in found), Refused.UNKNOWN)


# The mailbox that the address names if the account has it, by its exact name rather than by one
# that differs in case; otherwise INBOX. Strangers choose the name, so never what the owner wrote, and
# in a shared tree only where anybody may post, or who submitted it, or a group of theirs (the right p).
# Row locks in one order: two deliveries to one mailbox take their UIDs in commit order.
_LOCK_MAILBOXES = f"""
    select asked.account, asked.folder, asked.poster, m.mailbox_id, m.name, m.uidnext, m.modseq,
           d.domain, d.tenant,
           a.quota_octets is not null or a.quota_messages is not null or d.quota_octets is not null
             or d.quota_messages is not null or d.tenant is not null as has_quota
      from unnest($1::bigint[], $2::text[], $3::text[]) as asked (account, folder, poster)
      cross join lateral (
        select mailbox_id from mailboxes
         where account_id = asked.account
           and (name = '{INBOX}' or asked.folder <> '' and lower(name) = lower(asked.folder)
                and not string_to_array(coalesce(special_use, ''), ' ') && array['\\Sent', '\\Drafts']
                and (exists (select from accounts where account_id = asked.account and not is_shared)
                     or may_post(acl, asked.poster)))
         order by name = asked.folder desc, name = '{INBOX}', name limit 1) found
      join mailboxes m on m.account_id = asked.account and m.mailbox_id = found.mailbox_id
      join accounts a on a.account_id = asked.account
      join domains d on d.domain = a.domain
     order by m.account_id, m.mailbox_id for update of m
"""  # noqa: S608  constants only


@dataclass(slots=True)
class _Boxes:
    """The mailboxes that are locked, and the rooms that each account takes from (no entry: anything)."""

    rows: dict[Wish, Row]
    rooms: dict[int, list[Room]]


async def _lock_mailboxes(tx: Tx, batch: Iterable[Filing]) -> _Boxes:
    """Lock where each wish leads; an account that is gone has no mailbox."""
    wishes = {one.wish for one in batch}
    rows = await _locked(tx, wishes)
    if lost := {wish for wish in wishes - rows.keys() if wish[1]}:
        # The mailbox went while we waited for its lock; INBOX is there. Out of order: should that
        # make a circle, PostgreSQL breaks it and the batch is tried again.
        rows |= await _locked(tx, lost)
    bounded = {
        Debtor(row["account"], row["domain"], row["tenant"])
        for row in rows.values()
        if row["has_quota"]
    }
    # A statement of its own: its snapshot is taken after the locks were had.
    return _Boxes(rows=rows, rooms=await find_rooms(tx, bounded) if bounded else {})


async def _locked(tx: Tx, wishes: set[Wish]) -> dict[Wish, Row]:
    rows = await tx.fetch(_LOCK_MAILBOXES, *_columns(wishes, 3))
    return {(row["account"], row["folder"], row["poster"]): row for row in rows}


def _plan(wanted: Mapping[Key, Filing], boxes: _Boxes) -> dict[Key, Result]:
    """Decide for each what becomes of it: UIDs rise in the order of the batch."""
    planned: dict[Key, Result] = {}
    taken: dict[BoxKey, int] = {}
    for key, one in wanted.items():
        row = boxes.rows.get(one.wish)
        if row is None:
            planned[key] = Refused.NO_ACCOUNT
            continue
        rooms = boxes.rooms.get(one.account, ())
        if not all(room.fits(one.octets) for room in rooms):
            planned[key] = Refused.OVER_QUOTA
            continue
        for room in rooms:
            room.take(one.octets)
        box = one.account, row["mailbox_id"]
        uid = row["uidnext"] + taken.get(box, 0)
        taken[box] = taken.get(box, 0) + 1
        planned[key] = Filed(
            account=one.account,
            mailbox=box[1],
            folder=row["name"],
            uid=uid,
            modseq=row["modseq"] + 1,
        )
    return planned


# One statement, so one round trip. Content ids are drawn first: both contents and messages need
# them. A change row per mailbox tells the first and the last new UID.
_WRITE = """
    with filed as materialized (
        select *, nextval(pg_get_serial_sequence('contents', 'content_id')) as content_id
          from unnest($1::date[], $2::uuid[], $3::int[], $4::bigint[], $5::bigint[], $6::text[],
                      $7::bigint[], $8::bigint[], $9::int[], $10::bytea[], $11::bytea[],
                      $12::bytea[], $13::bytea[], $14::bytea[])
            as f (day, envelope, n, account_id, mailbox_id, folder, uid, modseq, size, prefix,
                  imap_envelope, bodystructure, header, parts)
    ), new_contents as (
        insert into contents (account_id, content_id, object_id, size, prefix, envelope,
                              bodystructure, header, parts) overriding system value
        select account_id, content_id, envelope, size, prefix, imap_envelope, bodystructure,
               header, parts from filed
    ), new_messages as (
        insert into messages (account_id, mailbox_id, content_id, modseq, internaldate, savedate,
                              uid, size)
        select account_id, mailbox_id, content_id, modseq, now(), now(), uid,
               size + length(prefix) from filed
    ), boxes as materialized (
        select account_id, mailbox_id, modseq, min(uid) as first, max(uid) as last,
               sum(size + length(prefix)) as octets from filed group by 1, 2, 3
    ), new_changes as (
        insert into changes (account_id, mailbox_id, modseq, kind, data)
        select account_id, mailbox_id, modseq, 'a', int8send(first) || int8send(last) from boxes
    ), new_state as (
        update mailboxes m
           set uidnext = b.last + 1, modseq = b.modseq, exists_ = m.exists_ + (b.last - b.first + 1),
               octets = m.octets + b.octets
          from boxes b where m.account_id = b.account_id and m.mailbox_id = b.mailbox_id
    )
    update recipients r
       set state = 'delivered', road = 'local', account_id = f.account_id, folder = f.folder,
           uid = f.uid, attempts = r.attempts + 1, status = '250 2.0.0', reply = null,
           next_attempt_at = null, settled_at = now()
      from filed f where r.day = f.day and r.envelope = f.envelope and r.n = f.n
"""


async def _write(tx: Tx, filings: Sequence[tuple[Filing, Filed]]) -> None:
    if filings:
        await tx.execute(_WRITE, *_columns((_row(one, to) for one, to in filings), 14))
    if receipts := [one.receipt for one, _ in filings if one.receipt is not None]:
        await enter(tx, receipts)


def _row(one: Filing, to: Filed) -> tuple[object, ...]:
    made = one.summary
    where: tuple[date, UUID, int] = (day_of(one.id), one.id, one.n)
    box = (to.account, to.mailbox, to.folder, to.uid, to.modseq)
    return (
        *where,
        *box,
        one.size,
        one.prefix,
        made.envelope,
        made.bodystructure,
        made.header,
        made.parts,
    )


def _columns(rows: Iterable[tuple[object, ...]], width: int) -> list[list[object]]:
    """Turn rows into the arrays that ``unnest`` takes; as many empty ones if there are none."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(width)]
