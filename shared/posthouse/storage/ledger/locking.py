"""The statements behind `claiming`: the advisory locks of one session, and the rows they guard."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import asyncpg

from posthouse.mail.errors import Unavailable
from posthouse.mail.ids import day_of
from posthouse.storage.pool import Tx

TURN_SECONDS = 8.0  # statements that take longer have failed

# The server notices after 20 + 3 * 5 s that a client is gone without a word: see `claiming.FRESH_SECONDS`.
_PATIENT = """
    select set_config('tcp_keepalives_idle', '20', false),
           set_config('tcp_keepalives_interval', '5', false),
           set_config('tcp_keepalives_count', '3', false),
           set_config('tcp_user_timeout', '30000', false)
"""
_SELF = "select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()"
_END = (
    "select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and backend_start = $2"
)
# `unnest` yields in order: what is given back comes first, and may be taken again by the same turn.
_TURN = """
    select key, case when take then pg_try_advisory_lock(key) else pg_advisory_unlock(key) end as ok
      from unnest($1::bigint[], $2::bool[]) as k (key, take)
"""
_OPEN = """
    select k.key, r.n, r.attempts, r.next_attempt_at, r.warned, r.state = 'held' as held,
           coalesce(r.via, '') as via, coalesce(r.verdict, '') as verdict,
           coalesce(r.paused, '0') as paused
      from unnest($1::bigint[], $2::date[], $3::uuid[], $4::int[]) as k (key, day, envelope, n)
      join recipients r using (day, envelope, n)
     where r.settled_at is null
     order by r.day, r.envelope, r.n
"""


Backend: TypeAlias = tuple[int, datetime]  # a session of the server: its process, since when


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A recipient that is not settled.

    Attributes:
        n: Its number within the message.
        attempts: How often delivery was tried and deferred.
        next_attempt_at: When the next attempt is planned; None if none was made, or by a human.
        warned: The sender was told of the delay.
        held: An operator holds it: no copy is worked on.
        via: The next hop that an operator chose; empty for the ordinary way.
        verdict: What its sender is to be told, because an operator ends it; empty otherwise.
        paused: How long it was held before.
    """

    n: int
    attempts: int
    next_attempt_at: datetime | None
    warned: bool
    held: bool = False
    via: str = ""
    verdict: str = ""
    paused: timedelta = timedelta()


async def succeed(session: Tx, former: Backend | None) -> Backend | None:
    """Make ``session`` one that holds locks: the former one, should it still live, ends."""
    if former is not None:
        await session.execute(_END, *former)
    await session.execute(_PATIENT)
    row = await session.fetchrow(_SELF)
    return None if row is None else (row["pid"], row["backend_start"])


async def exchange(session: Tx, done: Sequence[int], wanted: Sequence[int]) -> set[int]:
    """Give back the locks ``done``, take those of ``wanted`` that are free, and return these."""
    takes = [False] * len(done) + [True] * len(wanted)
    rows = await session.fetch(_TURN, [*done, *wanted], takes)
    return {row["key"] for row in rows[len(done) :] if row["ok"]}


async def still_open(
    session: Tx, wanted: Sequence[tuple[int, UUID, int]]
) -> defaultdict[int, list[Open]]:
    """Return by lock those of ``wanted`` (lock, message, recipient) that are not settled.

    A statement of its own after the locks: it must see what their last holder has committed.
    """
    found: defaultdict[int, list[Open]] = defaultdict(list)
    if not wanted:
        return found
    keys = [(key, day_of(ident), ident, n) for key, ident, n in wanted]
    for row in await session.fetch(_OPEN, *zip(*keys, strict=True)):
        found[row["key"]].append(
            Open(
                n=row["n"],
                attempts=row["attempts"],
                next_attempt_at=row["next_attempt_at"],
                warned=row["warned"],
                held=row["held"],
                via=row["via"],
                verdict=row["verdict"],
                paused=row["paused"],
            )
        )
    return found


def is_gone(session: Tx) -> bool:
    """Return True once we heard that the session is over."""
    try:
        return bool(session.connection.is_closed())
    except asyncpg.InterfaceError:  # it broke, and the pool has taken it back already
        return True


@asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """Raise `Unavailable` if the block takes longer than `TURN_SECONDS`."""
    try:
        async with asyncio.timeout(TURN_SECONDS):
            yield
    except TimeoutError:
        raise Unavailable(
            "storage is not available", detail="PostgreSQL: no answer about claims"
        ) from None
