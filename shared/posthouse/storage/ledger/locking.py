"""The statements behind `claiming`: the advisory locks of one session, and the rows they guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import asyncpg

from posthouse.mail.errors import Unavailable
from posthouse.mail.ids import day_of
from posthouse.storage.pool import Row, Tx

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
_TURN = "select * from claim_turn($1, $2, $3, $4, $5, $6)"


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


async def turn(
    session: Tx, done: Sequence[int], wanted: Sequence[int], asked: Sequence[tuple[int, UUID, int]]
) -> dict[int, list[Open]]:
    """Give back the locks ``done``; return by lock those of ``wanted`` that were free, now taken.

    With each come those of ``asked`` (lock, message, recipient) that are not settled, as the lock's
    last holder has left them.
    """
    rows = [(lock, day_of(ident), ident, n) for lock, ident, n in asked]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
    found: dict[int, list[Open]] = {}
    for row in await session.fetch(_TURN, list(done), list(wanted), *columns):
        opened = found.setdefault(row["lock"], [])
        if row["n"] is not None:
            opened.append(_open(row))
    return found


def _open(row: Row) -> Open:
    return Open(
        n=row["n"],
        attempts=row["attempts"],
        next_attempt_at=row["next_attempt_at"],
        warned=row["warned"],
        held=row["held"],
        via=row["via"],
        verdict=row["verdict"],
        paused=row["paused"],
    )


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
