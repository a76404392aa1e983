"""What must be on the roads: the sweeper's and the rebuilder's view of the ledger (promise 5).

``unpublished`` is written with every envelope and deleted after the broker's confirm. What stays
there longer than some seconds was committed by somebody who died or found no broker.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta
from uuid import UUID

from posthouse.mail.envelope import Envelope
from posthouse.mail.ids import day_of
from posthouse.storage.ledger.standing import (
    STANDING_COLUMNS,
    Facts,
    Standing,
    envelopes_of,
    standing_of,
)
from posthouse.storage.pool import Pool, Queries, Row, transaction

_PUBLISHED = "delete from unpublished where id = any($1::uuid[])"
# A claim moves `since` on, so that nobody else takes it before `older_than` has passed again;
# `skip locked`: two sweepers share the work.
_CLAIM = """
    update unpublished set since = now()
     where id in (select id from unpublished where since <= now() - $1::interval
                   order by since limit $2 for update skip locked)
 returning id
"""
_FACTS = """
    e.day, e.id, e.sender as envelope_sender, e.size, e.body, e.smtputf8, e.auth
"""
_ACCEPTED = f"""
    select {_FACTS}, {STANDING_COLUMNS}
      from envelopes e join recipients r on r.day = e.day and r.envelope = e.id
     where e.day = any($1::date[]) and e.id = any($2::uuid[]) and r.state = 'accepted'
     order by e.day, e.id
"""  # noqa: S608 - columns are ours
_UNSETTLED_IDS = """
    select distinct day, envelope from recipients
     where (day, envelope) > ($1, $2) and state in ('accepted', 'routed', 'deferred')
     order by day, envelope limit $3
"""
_UNSETTLED = f"""
    select {_FACTS}, {STANDING_COLUMNS}
      from envelopes e join recipients r on r.day = e.day and r.envelope = e.id
     where e.day = any($1::date[]) and e.id = any($2::uuid[])
       and r.state in ('accepted', 'routed', 'deferred')
     order by e.day, e.id
"""  # noqa: S608 - columns are ours
_BEFORE_ALL = (date.min, UUID(int=0))


async def published(queries: Queries, idents: Sequence[UUID]) -> None:
    """The broker confirmed the envelopes of these messages."""
    await queries.execute(_PUBLISHED, list(idents))


async def claim_unpublished(pool: Pool, older_than: timedelta, limit: int) -> list[Envelope]:
    """Take up to ``limit`` messages nobody has published for ``older_than``, for this caller alone.

    Call `published` after the confirm; a claim that is not kept comes up again after
    ``older_than``. Messages that were routed meanwhile had been published after all.
    """
    async with transaction(pool) as tx:
        idents = [row["id"] for row in await tx.fetch(_CLAIM, older_than, limit)]
        days = sorted({day_of(ident) for ident in idents})
        envelopes = _rebuilt(await tx.fetch(_ACCEPTED, days, idents)) if idents else []
        needless = set(idents) - {envelope.id for envelope in envelopes}
        if needless:
            await published(tx, sorted(needless))
    return envelopes


async def iterate_unsettled(pool: Pool, batch: int) -> AsyncIterator[list[Envelope]]:
    """Yield envelopes for everything that is still to be done, ``batch`` messages at a time.

    For a lost broker: whatever these rows' envelopes were, these do the same. Recipients in the
    dead letters are not among them. Mail accepted meanwhile may be or not; the sweeper sees it.
    """
    after = _BEFORE_ALL
    while keys := await pool.fetch(_UNSETTLED_IDS, *after, batch):
        after = (keys[-1]["day"], keys[-1]["envelope"])
        days = sorted({row["day"] for row in keys})
        yield _rebuilt(await pool.fetch(_UNSETTLED, days, [row["envelope"] for row in keys]))


def _rebuilt(rows: Sequence[Row]) -> list[Envelope]:
    grouped: defaultdict[Facts, list[Standing]] = defaultdict(list)
    for row in rows:
        grouped[_facts(row)].append(standing_of(row))
    return [e for facts, group in grouped.items() for e in envelopes_of(facts, group)]


def _facts(row: Row) -> Facts:
    return Facts(
        id=row["id"],
        sender=row["envelope_sender"],
        size=row["size"],
        body=row["body"],
        smtputf8=row["smtputf8"],
        auth=row["auth"],
    )
