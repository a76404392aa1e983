"""Mail that is held until its time (RFC 4865): committed, on no road, published by nobody.

Acceptance writes a row in ``held`` where other mail gets one in ``unpublished``. When the time has
come the row moves there, in one statement, and the sweeper does with it what it does with all that
lies there. So a held mail outlives everything that the ledger outlives, and starts once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from posthouse.mail.ids import day_of
from posthouse.mail.outcome import Discarded
from posthouse.storage.ledger.settling import settle
from posthouse.storage.pool import Pool, Queries, transaction

CANCELLED = "held mail cancelled"  # the named rule of promise 4

# 'epoch': older than whatever the sweeper waits for. `skip locked`: two sweepers share the work.
_RELEASE_DUE = """
    with due as (
        delete from held
         where id in (select id from held where release_at <= now()
                       order by release_at limit $1 for update skip locked)
     returning id
    )
    insert into unpublished (id, since) select id, 'epoch' from due
        on conflict (id) do update set since = excluded.since
"""
_RELEASE_NOW = """
    with due as (delete from held where id = $1 returning id),
         noted as (
        insert into events (day, envelope, at, service, what)
        select $2, id, now(), 'postmaster', 'released by the operator' from due
    )
    insert into unpublished (id, since) select id, 'epoch' from due
        on conflict (id) do update set since = excluded.since
"""
_CANCEL = "delete from held where id = $1"
_NUMBERS = "select n from recipients where day = $1 and envelope = $2 order by n"
_HELD = """
    select id, account, release_at from held
     where ($1 = '' or account = $1) and id > $2 order by id limit $3
"""
_COUNT = "select count(*) filter (where account = $1) as own, count(*) as whole from held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A mail that waits for its time.

    Attributes:
        id: The message.
        account: Who submitted it.
        release_at: When it starts on its way (UTC).
    """

    id: UUID
    account: str
    release_at: datetime


async def release_due(queries: Queries, limit: int) -> int:
    """Give the sweeper up to ``limit`` mails whose time has come; return how many."""
    return await queries.execute(_RELEASE_DUE, limit)


async def release_now(queries: Queries, ident: UUID) -> bool:
    """Give the sweeper a held mail before its time; False if it is not held (any more)."""
    return bool(await queries.execute(_RELEASE_NOW, ident, day_of(ident)))


async def cancel(pool: Pool, ident: UUID) -> bool:
    """End a held mail: its recipients are discarded by a named rule; False if it is not held."""
    async with transaction(pool) as tx:
        if not await tx.execute(_CANCEL, ident):
            return False
        rows = await tx.fetch(_NUMBERS, day_of(ident), ident)
        await settle(tx, ident, [Discarded(n=row["n"], rule=CANCELLED) for row in rows], 0)
    return True


async def held(queries: Queries, account: str, after: UUID, limit: int) -> list[Held]:
    """Return held mail with ids above ``after``, oldest first; of all accounts if it is empty."""
    return [Held(**dict(row)) for row in await queries.fetch(_HELD, account, after, limit)]


async def count_held(queries: Queries, account: str) -> tuple[int, int]:
    """Return how many mails are held of ``account``, and in all."""
    row = await queries.fetchrow(_COUNT, account)
    return (0, 0) if row is None else (row["own"], row["whole"])
