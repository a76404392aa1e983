"""What waits for the outside, for who asks: pages, counts, and counts by what most have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias
from uuid import UUID

from posthouse.storage.ledger.choosing import BEFORE_ALL, Choice, Clause, Place, clause_of
from posthouse.storage.pool import Pool, Tx, transaction

By: TypeAlias = Literal["domain", "tenant", "sender", "recipient", "status", "state"]

# The planner shall know what is asked for: an ending may be that of one recipient or of all.
_KNOWN = ("set local plan_cache_mode = force_custom_plan",)
# These look at everything that waits if the choice says so, best in an index, of which most is in
# memory; and a million groups fit.
_MAY_SCAN = (
    *_KNOWN,
    "set local enable_seqscan = on",
    "set local random_page_cost = 1.1",
    "set local work_mem = '128MB'",
)
_PAGE = """
    select r.envelope as id, r.n, r.address as recipient, w.sender, w.tenant, w.domain, r.state,
           r.attempts, r.next_attempt_at, r.status, r.reply, r.host, r.via, r.held_at
      from (select w.day, w.envelope, w.n, w.sender, w.tenant, w.domain from {source} w
             where {where} order by w.envelope, w.n limit {limit}) w
      join recipients r using (day, envelope, n)
     order by r.envelope, r.n
"""
_COUNT = "select count(*) from {source} w where {where}"
_GROUPS = """
    select {shown} as key, g.count from (
        select {key} as key, count(*) as count from {source} w where {where}
         group by 1 order by 2 desc, 1 limit {limit}
    ) g order by 2 desc, 1
"""
# Backwards as in the indexes, which bring equal ones together: no table of a million groups is made.
_BACKWARDS: dict[By, str] = {
    "domain": 'reverse(w.domain) collate "C"',
    "sender": 'reverse(lower(w.sender)) collate "C"',
    "recipient": 'reverse(lower(w.address)) collate "C"',
}
_FORWARDS: dict[By, str] = {
    "tenant": "w.tenant",
    "status": "split_part(left(w.said, 14), ' ', 1) || ' ' || split_part(left(w.said, 14), ' ', 2)",
    "state": "case when w.held then 'held' else 'deferred' end",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """A recipient that waits; the fields are the ledger's columns.

    Attributes:
        id: The message.
        via: The next hop that an operator chose.
        held_at: Since when an operator holds it.
    """

    id: UUID
    n: int
    recipient: str
    sender: str
    tenant: str
    domain: str
    state: str
    attempts: int
    next_attempt_at: datetime | None
    status: str | None
    reply: str | None
    host: str | None
    via: str | None
    held_at: datetime | None


async def list_waiting(
    pool: Pool, choice: Choice, after: Place = BEFORE_ALL, limit: int = 100
) -> list[Waiter]:
    """Return up to ``limit`` recipients behind ``after``, the oldest mail first."""
    clause = clause_of(choice, datetime.now(UTC)).more(
        "(w.envelope, w.n) > ({0}::uuid, {1}::int)", *after
    )
    async with transaction(pool) as tx:
        await _set(tx, _MAY_SCAN if choice.state == "untried" else _KNOWN)
        rows = await tx.fetch(_filled(_PAGE, clause, limit=int(limit)), *clause.values)
    return [Waiter(**dict(row)) for row in rows]


async def count_waiting(pool: Pool, choice: Choice) -> int:
    """Return how many recipients wait."""
    clause = clause_of(choice, datetime.now(UTC))
    async with transaction(pool) as tx:
        await _set(tx, _MAY_SCAN)
        return int(str(await tx.fetchval(_filled(_COUNT, clause), *clause.values)))


async def count_by(pool: Pool, choice: Choice, by: By, limit: int) -> list[tuple[str, int]]:
    """Return the most frequent values of ``by`` with their counts; addresses in lower case."""
    clause = clause_of(choice, datetime.now(UTC))
    shown = "reverse(g.key)" if by in _BACKWARDS else "g.key"
    key = {**_BACKWARDS, **_FORWARDS}[by]
    if by == "state" and choice.state == "untried":
        key = "'untried'"
    sql = _filled(_GROUPS, clause, key=key, shown=shown, limit=int(limit))
    async with transaction(pool) as tx:
        await _set(tx, _MAY_SCAN)
        return [(row["key"], row["count"]) for row in await tx.fetch(sql, *clause.values)]


async def _set(tx: Tx, settings: Sequence[str]) -> None:
    for setting in settings:
        await tx.execute(setting)


def _filled(sql: str, clause: Clause, **words: object) -> str:
    return sql.format(source=clause.source, where=clause.where, **words)
