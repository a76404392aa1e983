"""Fresh copies of envelopes that somebody made due: published at once, or else by the sweeper.

A mark is a row of its own for each decision, so who takes one off takes no other's with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar
from uuid import UUID

from msgspec import structs

from posthouse.mail.envelope import Envelope, Remote
from posthouse.mail.ids import day_of
from posthouse.storage.ledger.choosing import Place
from posthouse.storage.ledger.deciding import columns
from posthouse.storage.ledger.publishing import FACTS, rebuilt
from posthouse.storage.ledger.standing import STANDING_COLUMNS
from posthouse.storage.pool import Pool, Queries, transaction

E = TypeVar("E", bound=Envelope)

_SELECT = f"""
    select {FACTS}, {STANDING_COLUMNS}
      from %s
      join envelopes e using (day, id)
      join recipients r on r.day = k.day and r.envelope = k.id %s
     where r.settled_at is null %s
     order by e.id
"""  # noqa: S608 - columns are ours
_AT_PLACES = _SELECT % (
    "unnest($1::date[], $2::uuid[], $3::int[]) as k (day, id, n)",
    "and r.n = k.n",
    "and r.state %s 'dead'",
)
_ALIVE, _DEAD = _AT_PLACES % "<>", _AT_PLACES % "="
_DUE = _SELECT % (
    "unnest($1::date[], $2::uuid[]) as k (day, id)",
    "",
    "and r.state in ('accepted', 'routed', 'deferred') and r.next_attempt_at <= now()",
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

    envelopes: tuple[Envelope, ...]
    marks: tuple[int, ...]


async def all_envelopes_at(
    queries: Queries, places: Sequence[Place], *, dead: bool = False
) -> list[Envelope]:
    """Return the envelopes that carry these recipients on, on any road, as they would look now.

    Those that are settled meanwhile are left out, and those in the dead letters; with ``dead`` only
    the latter are taken, as if they were alive.
    """
    rows = await queries.fetch(_DEAD if dead else _ALIVE, *columns(places))
    return rebuilt(rows, risen=dead)


async def envelopes_at(queries: Queries, places: Sequence[Place]) -> list[Remote]:
    """Do as `all_envelopes_at`, for those that wait for the outside."""
    found = await all_envelopes_at(queries, places)
    return [each for each in found if isinstance(each, Remote)]


async def claim_marked(pool: Pool, older_than: timedelta, limit: int) -> Marked:
    """Take up to ``limit`` marks that are ``older_than``, for this caller alone.

    Call `unmark` after the confirm; what is not kept comes up again after ``older_than``.
    """
    async with transaction(pool) as tx:
        taken = await tx.fetch(_CLAIM, older_than, limit)
        idents = sorted({row["id"] for row in taken})
        rows = await tx.fetch(_DUE, *_columns(idents)) if idents else []
    return Marked(tuple(map(_now, rebuilt(rows))), tuple(row["seq"] for row in taken))


async def unmark(queries: Queries, marks: Sequence[int]) -> None:
    """The broker has confirmed the envelopes."""
    if marks:
        await queries.execute(_UNMARK, list(marks))


def requested(envelopes: Iterable[Envelope]) -> list[Remote]:
    """Return those for the outside: somebody wants them to be tried now."""
    return [_now(each) for each in envelopes if isinstance(each, Remote)]


def _now(envelope: E) -> E:
    is_remote = isinstance(envelope, Remote)
    return structs.replace(envelope, on_request=True) if is_remote else envelope


def _columns(idents: Sequence[UUID]) -> tuple[list[date], list[UUID]]:
    return [day_of(ident) for ident in idents], list(idents)
