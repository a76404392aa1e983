"""What was found of a message's content, where that is done after it was accepted.

    unjudged ─▶ verdict and header recorded, once ─▶ the object is written ─▶ judged

The first verdict stands: whoever comes later reads it, and decides nothing anew. Until the object is
known to be there, the header that it gets stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from posthouse.mail.envelope import Body
from posthouse.mail.ids import day_of
from posthouse.storage.pool import Queries, Tx

_READ = """
    select e.id, e.client, e.size, e.body, e.verdict, e.header, e.unjudged, r.*
      from unnest($1::date[], $2::uuid[]) as k (day, id) join envelopes e using (day, id)
     cross join lateral (
        select array_agg(n) as waiting, max(attempts) as attempts, max(next_attempt_at) as due,
               bool_and(warned) as warned
          from recipients
         where day = e.day and envelope = e.id and settled_at is null and routed_at is null
           and state <> 'held') r
"""
_RECORD = """
    update envelopes set verdict = $3::jsonb, junk = $4, header = $5
     where day = $1 and id = $2 and unjudged and header is null
 returning id
"""
_WRITTEN = """
    update envelopes set unjudged = null, header = null, size = $3, body = $4
     where day = $1 and id = $2 and header is not null
"""
# Whoever records a verdict, or puts the message off, needs this row.
_LOCK = """
    select id from envelopes where day = $1 and id = $2 and unjudged and header is null
       for no key update
"""
_ATTEMPTS = "select max(attempts) from recipients where day = $1 and envelope = $2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the ledger says of a message's content.

    Attributes:
        client: Who brought the message: address and name.
        size: Octets of its object.
        body: What the next hop is told of its octets (RFC 6152 §2).
        verdict: What was found, in JSON; empty for nothing.
        header: Under which the object is to be written; None: it is written, or nobody has judged.
        is_open: Nobody has judged it.
        waiting: The recipients that are not routed, settled or held.
        attempts: How often it was tried to judge the message for them.
        due: When that is tried next; None: now.
        warned: The sender was told of the delay.
    """

    client: str
    size: int
    body: Body
    verdict: str
    header: bytes | None
    is_open: bool
    waiting: frozenset[int]
    attempts: int = 0
    due: datetime | None = None
    warned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What is recorded of a message that was judged late.

    Attributes:
        verdict: What was found, in JSON; empty for nothing.
        header: Under which its object is to be written.
        junk: It looks like spam.
    """

    verdict: str
    header: bytes
    junk: bool


async def standings_of(queries: Queries, idents: Sequence[UUID]) -> dict[UUID, Standing]:
    """Return how these messages stand; raise `Unavailable`."""
    rows = await queries.fetch(_READ, [day_of(ident) for ident in idents], list(idents))
    return {
        row["id"]: Standing(
            client=row["client"],
            size=row["size"],
            body=row["body"],
            verdict=row["verdict"] or "",
            header=row["header"],
            is_open=bool(row["unjudged"]) and row["header"] is None,
            waiting=frozenset(row["waiting"] or ()),
            attempts=row["attempts"] or 0,
            due=row["due"],
            warned=bool(row["warned"]),
        )
        for row in rows
    }


async def record(queries: Queries, ident: UUID, found: Recorded) -> bool:
    """Record what was found; False if somebody has recorded a verdict before."""
    key = (day_of(ident), ident)
    values = (found.verdict or None, found.junk or None, found.header)
    return await queries.fetchrow(_RECORD, *key, *values) is not None


async def note_written(queries: Queries, ident: UUID, size: int, body: Body) -> None:
    """Note that the object is there under its new header, and how large it is."""
    await queries.execute(_WRITTEN, day_of(ident), ident, size, body)


async def lock_unjudged(tx: Tx, ident: UUID, attempts: int) -> bool:
    """Return whether nobody has judged the message, or tried more than ``attempts`` times.

    Then nobody does before ``tx`` ends.
    """
    key = (day_of(ident), ident)
    if await tx.fetchrow(_LOCK, *key) is None:
        return False
    return bool(await tx.fetchval(_ATTEMPTS, *key) == attempts)
