"""The audit: who decided what of how many, and when; written with the changes themselves.

An entry is made before the first change. Each batch counts itself in the transaction that changes
the ledger, so the numbers are true even of an operation that was killed half way: that one has no
end, and running it again makes an entry of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Queries

_BEGIN = """
    insert into audit (actor, action, chosen, detail, found) values ($1, $2, $3, $4, $5)
 returning id
"""
_COUNT = "update audit set changed = changed + $2, busy = busy + $3 where id = $1"
_END = "update audit set ended_at = now(), outcome = $2 where id = $1"
_LIST = """
    select id, began_at, ended_at, actor, action, chosen, detail, found, changed, busy, outcome
      from audit
     where ($1::bigint = 0 or id < $1) order by id desc limit $2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What somebody is about to do.

    Attributes:
        actor: Who, as their client says.
        action: What, for example ``queue hold``.
        chosen: Of which, as one would type it.
        detail: What else was said: a text, a next hop.
        found: How many it concerns as it begins.
    """

    actor: str
    action: str
    chosen: str
    detail: str = ""
    found: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One operation.

    Attributes:
        id: Its number; later operations have higher ones.
        began_at: When (UTC).
        ended_at: None if it is under way, or was broken off.
        actor: See `Intent`; likewise action, chosen, detail and found.
        changed: How many it has changed.
        busy: How many it left alone because they were under way at that moment.
        outcome: Why it stopped by itself before it was through; empty if it did not.
    """

    id: int
    began_at: datetime
    ended_at: datetime | None
    actor: str
    action: str
    chosen: str
    detail: str
    found: int
    changed: int
    busy: int
    outcome: str


async def begin(queries: Queries, intent: Intent) -> int:
    """Write an entry for ``intent``; return its number."""
    number = await queries.fetchval(
        _BEGIN,
        storable(intent.actor),
        intent.action,
        storable(intent.chosen),
        storable(intent.detail),
        intent.found,
    )
    return int(str(number))


async def count(queries: Queries, number: int, *, changed: int, busy: int = 0) -> None:
    """Add to the counts of entry ``number``; belongs into the transaction of the changes."""
    await queries.execute(_COUNT, number, changed, busy)


async def end(queries: Queries, number: int, outcome: str = "") -> None:
    """Note that the operation is complete; with ``outcome``, that it stopped by itself."""
    await queries.execute(_END, number, outcome)


async def entries(queries: Queries, before: int = 0, limit: int = 100) -> list[Entry]:
    """Return up to ``limit`` entries, the newest first; with ``before`` only older ones."""
    return [Entry(**dict(row)) for row in await queries.fetch(_LIST, before, limit)]
