"""Fresh copies of envelopes that somebody made due: published at once, or else by the sweeper.

A mark is a row of its own for each decision, so who takes one off takes no other's with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from msgspec import structs

from posthouse.mail.envelope import Envelope, Remote
from posthouse.mail.ids import day_of
from posthouse.storage.ledger.choosing import Place
from posthouse.storage.ledger.publishing import FACTS, rebuilt
from posthouse.storage.ledger.standing import STANDING_COLUMNS
from posthouse.storage.pool import Pool, Queries, transaction

_SELECT = f"""
    select {FACTS}, {STANDING_COLUMNS}
      from %s
      join envelopes e using (day, id)
      join recipients r on r.day = k.day and r.envelope = k.id %s
     where r.settled_at is null and r.road = 'remote'
       %s
     order by e.id
"""  # noqa: S608 - columns are ours
_AT_PLACES = _SELECT % (
    "unnest($1::date[], $2::uuid[], $3::int[]) as k (day, id, n)",
    "and r.n = k.n",
    "",
)
_DUE = _SELECT % (
    "unnest($1::date[], $2::uuid[]) as k (day, id)",
    "",
    "and r.state in ('routed', 'deferred') and r.next_attempt_at <= now()",
)
# A claim moves `since` on, so that nobody else takes it before `older_than` has passed again;
# `skip locked`: two sweepers share the work.
_CLAIM = """
    update republish set since = now()
     where seq in (select seq from republish where since <= now() - $1::interval
                    order by seq limit $2 for update skip locked)
 returning seq, id
"""
_UNMARK = "delete from republish where seq = any($1::bigint[])"


@dataclass(frozen=True, slots=True)
class Marked:
    """What was to be published again, and is not known to be.

    Attributes:
        envelopes: Of what is due; nothing, if another copy was quicker.
        marks: See `unmark`.
    """

    envelopes: tuple[Remote, ...]
    marks: tuple[int, ...]


async def envelopes_at(queries: Queries, places: Sequence[Place]) -> list[Remote]:
    """Return the envelopes that carry these recipients on, as they would look now.

    Those that are settled meanwhile are left out.
    """
    days, idents = _columns([ident for ident, _ in places])
    rows = await queries.fetch(_AT_PLACES, days, idents, [n for _, n in places])
    return [each for each in rebuilt(rows) if isinstance(each, Remote)]


async def claim_marked(pool: Pool, older_than: timedelta, limit: int) -> Marked:
    """Take up to ``limit`` marks that are ``older_than``, for this caller alone.

    Call `unmark` after the confirm; what is not kept comes up again after ``older_than``.
    """
    async with transaction(pool) as tx:
        taken = await tx.fetch(_CLAIM, older_than, limit)
        idents = sorted({row["id"] for row in taken})
        rows = await tx.fetch(_DUE, *_columns(idents)) if idents else []
    return Marked(tuple(requested(rebuilt(rows))), tuple(row["seq"] for row in taken))


async def unmark(queries: Queries, marks: Sequence[int]) -> None:
    """The broker has confirmed the envelopes."""
    if marks:
        await queries.execute(_UNMARK, list(marks))


def requested(envelopes: Iterable[Envelope]) -> list[Remote]:
    """Return those for the outside: somebody wants them to be tried now."""
    return [structs.replace(e, on_request=True) for e in envelopes if isinstance(e, Remote)]


def _columns(idents: Sequence[UUID]) -> tuple[list[date], list[UUID]]:
    return [day_of(ident) for ident in idents], list(idents)
