"""Bounces and complaints that came in: noted by routing, read soon after by one who has the time.

    mail to a return path of ours ─▶ incoming_reports ─▶ read ─▶ events of the message it speaks of

A note is made before the mail is sent on, and making it again changes nothing. What is read links
both messages: the report's row says which message it speaks of, and that one's trace tells of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias
from uuid import UUID

from posthouse.mail.ids import day_of
from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Pool, Queries, Row

ReadAs: TypeAlias = Literal[
    "bounce", "complaint", "auto-reply", "other", "gone", "dmarc-report", "tls-report"
]

ATTEMPTS_MAX = 5  # to read one that makes us fail
BITE = 500  # rows per statement
SERVICE = "postmaster"  # who reads

_NOTE = """
    insert into incoming_reports (id, size, subject, recipient, address)
    select * from unnest($1::uuid[], $2::int[], $3::uuid[], $4::int[], $5::text[])
        on conflict (id) do nothing
"""
_TAKE = """
    update incoming_reports set attempts = attempts + 1
     where id = any (array(
        select id from incoming_reports where read_at is null and attempts < $1 and id <> all ($2)
           and (again_at is null or again_at <= now())
         order by came_at limit 1 for update skip locked))
 returning id, size, subject, recipient, address
"""
_GIVE_BACK = """
    update incoming_reports set attempts = attempts - 1 where id = $1 and read_at is null
"""
_PUT_OFF = """
    update incoming_reports set again_at = now() + $2::interval * power(4, attempts - 1)
     where id = $1 and read_at is null and attempts < $3 returning true
"""
_ABANDONED = "select count(*) from incoming_reports where read_at is null and attempts >= $1"
_SENT = """
    select r.envelope as id, r.n, r.address, coalesce(r.sender, e.sender) as sender
      from recipients r join envelopes e on e.day = r.day and e.id = r.envelope
     where r.day = $1 and r.envelope = $2 and r.road = 'remote' order by r.n
"""
_NAMED = """
    select id from envelopes where message_id = $1 and message_id <> '' order by id desc limit $2
"""
# The message may have left the ledger meanwhile, with its day.
_TELL = """
    insert into events (day, envelope, at, recipient, service, what, detail)
    select day, id, now(), $3, $4, $5, $6 from envelopes where day = $1 and id = $2
"""
_LINK = "update envelopes set subject_id = $3 where day = $1 and id = $2"
_DONE = "update incoming_reports set read_at = now(), kind = $2, subject = $3 where id = $1"
_FORGET = """
    delete from incoming_reports where id = any (array(
        select id from incoming_reports
         where read_at < now() - $2::interval
            or read_at is null and came_at < now() - $2::interval limit $1))
"""
_COPIES = 5  # messages of one Message-ID that are looked at, the newest first


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingReport:
    """A mail that came to a return path of ours, or to the address for complaints.

    Attributes:
        id: The mail itself.
        size: Octets of its object.
        subject: The message that the return path names; None if the mail must say it.
        recipient: The number of that message's recipient, as the return path says; or None.
        address: That recipient's address, likewise; or empty.
    """

    id: UUID
    size: int
    subject: UUID | None = None
    recipient: int | None = None
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A recipient outside whom a message of ours was sent to.

    Attributes:
        id: The message.
        n: The recipient's number.
        address: Where it was sent.
        sender: Whose mail it was.
    """

    id: UUID
    n: int
    address: str
    sender: str


async def note_incoming(queries: Queries, reports: Sequence[IncomingReport]) -> None:
    """Note that ``reports`` are to be read; those that are noted already stay as they are."""
    await queries.execute(
        _NOTE,
        [each.id for each in reports],
        [each.size for each in reports],
        [each.subject for each in reports],
        [each.recipient for each in reports],
        [storable(each.address) for each in reports],
    )


async def take_unread(queries: Queries, but: Sequence[UUID] = ()) -> IncomingReport | None:
    """Return the oldest that nobody has read, none of ``but``, and count the attempt; or None."""
    row = await queries.fetchrow(_TAKE, ATTEMPTS_MAX, but)
    return None if row is None else IncomingReport(**dict(row))


async def give_back(queries: Queries, report: IncomingReport) -> None:
    """Take back the attempt: a part of our house was away, the report is not to blame."""
    await queries.execute(_GIVE_BACK, report.id)


async def put_off(queries: Queries, report: IncomingReport, pause: timedelta) -> bool:
    """Let a report wait, each time longer; False if it was tried too often for that."""
    return bool(await queries.fetchval(_PUT_OFF, report.id, pause, ATTEMPTS_MAX))


async def count_abandoned(queries: Queries) -> int:
    """Return how many were tried too often, and are not read any more."""
    return int(str(await queries.fetchval(_ABANDONED, ATTEMPTS_MAX)))


async def sent_of(queries: Queries, ident: UUID) -> tuple[Sent, ...]:
    """Return the recipients outside of one message."""
    return tuple(map(_sent, await queries.fetch(_SENT, day_of(ident), ident)))


async def sent_as(queries: Queries, message_id: str) -> tuple[Sent, ...]:
    """Return the recipients outside of the newest messages that bear this Message-ID."""
    named = await queries.fetch(_NAMED, storable(message_id), _COPIES)
    found: list[Sent] = []
    for row in named:
        found += await sent_of(queries, row["id"])
    return tuple(found)


async def tell(queries: Queries, to: Sent, what: str, detail: str) -> None:
    """Write into the trace of a message what came back of it."""
    await queries.execute(_TELL, day_of(to.id), to.id, to.n, SERVICE, what, storable(detail)[:1000])


async def mark_read(
    queries: Queries, report: IncomingReport, kind: ReadAs, subject: UUID | None
) -> None:
    """Note what ``report`` was and which message it speaks of; in the ledger too."""
    await queries.execute(_DONE, report.id, kind, subject)
    if subject is not None:
        await queries.execute(_LINK, day_of(report.id), report.id, subject)


async def forget_read(pool: Pool, older_than: timedelta) -> int:
    """Remove the notes of what was read, or came and could not be, so long ago; return how many."""
    total = 0
    while gone := await pool.execute(_FORGET, BITE, older_than):
        total += gone
    return total


def _sent(row: Row) -> Sent:
    return Sent(**dict(row))
