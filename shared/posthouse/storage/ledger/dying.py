"""Recipients whose envelope lies in the dead letters: unsettled, but nobody works on them.

They come back by their row alone: what an operator has decided of them meanwhile (another next
hop, a verdict) is in the row and not in the envelope that died, and nobody else works on them. So
an envelope is made anew, and published by a mark like any other decision (`deciding`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from posthouse.mail.ids import day_of
from posthouse.storage.ledger.choosing import Chosen, Place
from posthouse.storage.ledger.deciding import Changed, columns, mark_due
from posthouse.storage.ledger.entries import storable
from posthouse.storage.ledger.standing import Road, State
from posthouse.storage.pool import Queries, Tx

# Row locks in key order, as everywhere in the ledger. What an operator holds is no copy's: one that
# dies says nothing of it, and its release publishes another.
_MARK_DEAD = """
    with held as materialized (
        select day, envelope, n from recipients
         where day = $1 and envelope = $2 and settled_at is null and state <> 'held'
           and ($3::int[] is null or n = any($3))
         order by n for no key update
    )
    update recipients r set state = 'dead', reply = $4, next_attempt_at = null
      from held h where r.day = h.day and r.envelope = h.envelope and r.n = h.n
"""
_LOOK = """
    select r.envelope, r.n, r.state, r.road, coalesce(r.domain, '') as domain,
           coalesce(r.sender, e.sender) as sender,
           coalesce(r.state in ('accepted', 'routed', 'deferred') and r.next_attempt_at <= now(),
                    false) as due
      from unnest($1::date[], $2::uuid[], $3::int[]) as k (day, id, n)
      join envelopes e using (day, id)
      join recipients r on r.day = k.day and r.envelope = k.id and r.n = k.n
     order by r.day, r.envelope, r.n
"""
_LOCK = f"{_LOOK} for no key update of r"
# A reroute is the later word: a verdict that was to be told is taken back by it.
_REVIVE = """
    with dead as materialized (
        select r.day, r.envelope, r.n
          from unnest($1::date[], $2::uuid[], $3::int[]) as k (day, envelope, n)
          join recipients r using (day, envelope, n)
         where r.settled_at is null and r.state = 'dead'
         order by r.day, r.envelope, r.n
           for no key update of r
    )
    update recipients r
       set state = case when r.routed_at is null then 'accepted'
                        when r.attempts > 0 then 'deferred' else 'routed' end,
           next_attempt_at = now(),
           via = case when $4::text is null then r.via else nullif($4, '') end,
           verdict = case when $4::text is null then r.verdict end
      from dead d where r.day = d.day and r.envelope = d.envelope and r.n = d.n
 returning r.envelope, r.n
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """How a recipient stands that a dead letter speaks of.

    Attributes:
        state: ``dead``, or what became of it meanwhile.
        road: Where it travels; None before routing.
        chosen: Who it is, as decisions know it.
        is_due: It lives, and is to be tried now: nobody has finished an attempt since it was revived.
    """

    state: State
    road: Road | None
    chosen: Chosen
    is_due: bool


async def mark_dead(
    queries: Queries, ident: UUID, reason: str, ns: Sequence[int] | None = None
) -> int:
    """Note that the message's open recipients (or those in ``ns``) are dead letters; count them."""
    chosen = None if ns is None else list(ns)
    return await queries.execute(_MARK_DEAD, day_of(ident), ident, chosen, storable(reason))


async def look(
    queries: Queries, places: Sequence[Place], *, lock: bool = False
) -> Mapping[Place, Looked]:
    """Return how these recipients stand; with ``lock`` it stays so until the transaction ends.

    Those that the ledger does not know are left out.
    """
    rows = await queries.fetch(_LOCK if lock else _LOOK, *columns(places))
    return {
        (row["envelope"], row["n"]): Looked(
            state=row["state"],
            road=row["road"],
            chosen=Chosen(
                id=row["envelope"], n=row["n"], domain=row["domain"], sender=row["sender"]
            ),
            is_due=row["due"],
        )
        for row in rows
    }


async def revive(tx: Tx, places: Sequence[Place], via: str | None = None) -> Changed:
    """Let the dead among these recipients travel again, each as its row says.

    With ``via`` by that next hop, by the ordinary way if it is empty; those are to be of the road
    ``remote``.
    """
    rows = await tx.fetch(_REVIVE, *columns(places), via)
    return await mark_due(tx, tuple(sorted((row["envelope"], row["n"]) for row in rows)))
