"""What is under way, by road and state, as the ledger knows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from posthouse.mail.ids import moment_of
from posthouse.storage.pool import Pool, Queries, transaction

LOOK_BACK = timedelta(days=7)  # longer than any timetable tries; dead letters are counted apart

# One pass over some days of partitions, for an operator's question: an index on what is open would
# cost every delivery its heap-only update.
_MAY_SCAN = "set local enable_seqscan = on"
_OPEN = """
    select coalesce(road, 'inbound') as road, state, count(*)::bigint as count,
           min(envelope::text)::uuid as oldest
      from recipients
     where settled_at is null and state <> 'dead' and day >= current_date - $1::int
       and (state <> 'accepted' or not exists (select from held where held.id = envelope))
     group by 1, 2
"""
_HELD = """
    select 'inbound' as road, 'held' as state, count(*)::bigint as count,
           min(id::text)::uuid as oldest
      from held having count(*) > 0
"""
_DEAD = """
    select road, 'dead' as state, count(*)::bigint as count, min(first_failed) as oldest
      from dead_letters where state = 'waiting' group by road
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How many are in one state on one road.

    Attributes:
        road: ``inbound`` (not yet routed), ``local``, ``remote``; for dead letters the full name.
        state: ``accepted``, ``held``, ``routed``, ``deferred`` or ``dead``.
        count: Recipients; for ``dead``: letters; for ``held``: mails.
        oldest: When the oldest was accepted; for ``dead``: failed first.
    """

    road: str
    state: str
    count: int
    oldest: datetime


async def backlog(pool: Pool) -> list[Backlog]:
    """Return the counts of everything that is not settled, by road and state."""
    async with transaction(pool) as tx:
        await tx.execute(_MAY_SCAN)
        return await _count(tx)


async def _count(queries: Queries) -> list[Backlog]:
    under_way = [
        Backlog(
            road=row["road"],
            state=row["state"],
            count=row["count"],
            oldest=moment_of(UUID(str(row["oldest"]))),
        )
        for row in (*await queries.fetch(_OPEN, LOOK_BACK.days), *await queries.fetch(_HELD))
    ]
    dead = [Backlog(**dict(row)) for row in await queries.fetch(_DEAD)]
    return sorted(under_way + dead, key=lambda line: (line.road, line.state))
