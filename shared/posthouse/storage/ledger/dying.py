"""Recipients whose envelope lies in the dead letters: unsettled, but nobody works on them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from posthouse.mail.ids import day_of
from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Queries

# Row locks in key order, as everywhere in the ledger.
_HELD = """
    with held as materialized (
        select day, envelope, n from recipients
         where day = $1 and envelope = $2 and settled_at is null
           and ($3::int[] is null or n = any($3))
         order by n for no key update
    )
"""
_MARK_DEAD = f"""
    {_HELD}
    update recipients r set state = 'dead', reply = $4, next_attempt_at = null
      from held h where r.day = h.day and r.envelope = h.envelope and r.n = h.n
"""  # noqa: S608 - a lock of ours
_REVIVE = f"""
    {_HELD}
    update recipients r
       set state = case when r.routed_at is null then 'accepted'
                        when r.attempts > 0 then 'deferred' else 'routed' end
      from held h
     where r.day = h.day and r.envelope = h.envelope and r.n = h.n and r.state = 'dead'
"""  # noqa: S608 - a lock of ours


async def mark_dead(
    queries: Queries, ident: UUID, reason: str, ns: Sequence[int] | None = None
) -> int:
    """Note that the message's open recipients (or those in ``ns``) are dead letters; count them."""
    chosen = None if ns is None else list(ns)
    return await queries.execute(_MARK_DEAD, day_of(ident), ident, chosen, storable(reason))


async def revive(queries: Queries, ident: UUID, ns: Sequence[int] | None = None) -> int:
    """Note that the message's dead recipients (or those in ``ns``) travel again; count them."""
    chosen = None if ns is None else list(ns)
    return await queries.execute(_REVIVE, day_of(ident), ident, chosen)
