"""What must be on the roads: the sweeper's and the rebuilder's view of the ledger (promise 5).

``unpublished`` is written with every envelope and deleted after the broker's confirm. What stays
there longer than some seconds was committed by somebody who died or found no broker.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

from posthouse.mail.envelope import Envelope
from posthouse.mail.handling import PLAIN, Handling
from posthouse.mail.ids import day_of
from posthouse.storage.ledger.holding import release_due
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
                   order by id limit $2 for update skip locked)
 returning id
"""
FACTS = """
    e.day, e.id, e.sender as envelope_sender, e.size, e.body, e.smtputf8, e.auth, e.envid, e.ret,
    e.requiretls, e.hold, e.deliver_by, e.junk, e.unjudged, e.verdict->>'hold' as wait
"""
_ACCEPTED = f"""
    select {FACTS}, {STANDING_COLUMNS}
      from unnest($1::date[], $2::uuid[]) as k (day, id)
      join envelopes e using (day, id)
      join recipients r on r.day = k.day and r.envelope = k.id
     where r.state = 'accepted' order by e.id
"""  # noqa: S608 - columns are ours
# Everything is looked through, because an index on what is open would cost each delivery its
# heap-only update. Stretch by stretch: no statement takes long, however much is settled.
_EDGE = """
    select day, envelope, n from recipients where (day, envelope, n) > ($1, $2, $3)
     order by day, envelope, n offset $4 limit 1
"""
_OPEN_UP_TO = """
    select distinct day, envelope from recipients
     where (day, envelope, n) > ($1, $2, $3) and (day, envelope, n) <= ($4, $5, $6)
       and state in ('accepted', 'routed', 'deferred')
       and (state <> 'accepted' or not exists (select from held where held.id = envelope))
     order by day, envelope
"""
_UNSETTLED = f"""
    select {FACTS}, {STANDING_COLUMNS}
      from unnest($1::date[], $2::uuid[]) as k (day, id)
      join envelopes e using (day, id)
      join recipients r on r.day = k.day and r.envelope = k.id
     where r.state in ('accepted', 'routed', 'deferred') order by e.id
"""  # noqa: S608 - columns are ours
_BEFORE_ALL = (date.min, UUID(int=0), -1)
_AFTER_ALL = (date.max, UUID(int=(1 << 128) - 1), 2**31 - 1)
STRETCH_ROWS = 20_000


async def published(queries: Queries, idents: Sequence[UUID]) -> None:
    """The broker confirmed the envelopes of these messages."""
    await queries.execute(_PUBLISHED, list(idents))


async def claim_unpublished(pool: Pool, older_than: timedelta, limit: int) -> list[Envelope]:
    """Take up to ``limit`` messages nobody has published for ``older_than``, for this caller alone.

    Held mail whose time has come is among them, however fresh. Call `published` after the confirm;
    a claim that is not kept comes up again after ``older_than``. Messages that were routed
    meanwhile had been published after all.
    """
    async with transaction(pool) as tx:
        await release_due(tx, limit)
        idents = [row["id"] for row in await tx.fetch(_CLAIM, older_than, limit)]
        days = [day_of(ident) for ident in idents]
        envelopes = rebuilt(await tx.fetch(_ACCEPTED, days, idents)) if idents else []
        needless = set(idents) - {envelope.id for envelope in envelopes}
        if needless:
            await published(tx, sorted(needless))
    return envelopes


async def iterate_unsettled(pool: Pool, batch: int) -> AsyncIterator[list[Envelope]]:
    """Yield envelopes for everything that is still to be done, ``batch`` messages at a time.

    For a lost broker: whatever these rows' envelopes were, these do the same. Recipients in the
    dead letters are not among them, nor is mail that is held. Mail accepted meanwhile may be or
    not; the sweeper sees it.
    """
    last: UUID | None = None  # a message may lie across the edge of two stretches
    async for stretch in _open_messages(pool):
        idents = [ident for ident in stretch if ident != last]
        last = stretch[-1] if stretch else last
        for start in range(0, len(idents), batch):
            if envelopes := await unsettled_envelopes(pool, idents[start : start + batch]):
                yield envelopes


async def unsettled_envelopes(queries: Queries, idents: Sequence[UUID]) -> list[Envelope]:
    """Return envelopes for what is still to be done of these messages, as they would look now."""
    return rebuilt(await queries.fetch(_UNSETTLED, [day_of(ident) for ident in idents], idents))


async def _open_messages(pool: Pool) -> AsyncIterator[list[UUID]]:
    """Yield the ids of messages with something to do, one stretch of the ledger at a time."""
    after = _BEFORE_ALL
    while after < _AFTER_ALL:
        row = await pool.fetchrow(_EDGE, *after, STRETCH_ROWS - 1)
        edge = _AFTER_ALL if row is None else (row["day"], row["envelope"], row["n"])
        yield [row["envelope"] for row in await pool.fetch(_OPEN_UP_TO, *after, *edge)]
        after = edge


def rebuilt(rows: Sequence[Row], *, risen: bool = False) -> list[Envelope]:
    """Return the envelopes of rows that have `FACTS` and `STANDING_COLUMNS`.

    The dead are left out (`envelopes_of`); ``risen``, they are taken for alive.
    """
    grouped: defaultdict[Facts, list[Standing]] = defaultdict(list)
    for row in rows:
        standing = standing_of(row)
        grouped[_facts(row)].append(replace(standing, state="routed") if risen else standing)
    return [e for facts, group in grouped.items() for e in envelopes_of(facts, group)]


def _facts(row: Row) -> Facts:
    return Facts(
        id=row["id"],
        sender=row["envelope_sender"],
        size=row["size"],
        body=row["body"],
        smtputf8=row["smtputf8"],
        auth=row["auth"],
        handling=_handling(row),
        junk=bool(row["junk"]),
        unjudged=bool(row["unjudged"]),
        wait=row["wait"] or "",
    )


def _handling(row: Row) -> Handling:
    asked = [row[name] for name in ("envid", "ret", "requiretls", "hold", "deliver_by")]
    if asked == [None] * len(asked):
        return PLAIN
    envid, ret, requiretls, hold, by = asked
    return Handling(
        envid=envid or "", ret=ret or "", requiretls=bool(requiretls), hold=hold or "", by=by or ""
    )
