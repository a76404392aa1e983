"""What is tried out in the shadow of what is live: levels, and how verdicts would have differed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID

from posthouse.storage.pool import Queries
from posthouse.storage.rules import touch

MAX_EXAMPLES: Final = 10  # ids that are kept of each difference and day
KEPT_DAYS: Final = 90

_LEVELS = "select state, tag, quarantine, reject from spam_levels"
_SET_LEVELS = """
    insert into spam_levels (state, tag, quarantine, reject, changed_by) values ($1, $2, $3, $4, $5)
        on conflict (state) do update set tag = excluded.tag, quarantine = excluded.quarantine,
           reject = excluded.reject, changed_at = now(), changed_by = excluded.changed_by
"""
_REMOVE_LEVELS = "delete from spam_levels where state = $1"
_PROMOTE = """
    with tried as (delete from spam_levels where state = 'shadow' returning *)
    insert into spam_levels (state, tag, quarantine, reject, changed_by)
    select 'live', tag, quarantine, reject, $1 from tried
        on conflict (state) do update set tag = excluded.tag, quarantine = excluded.quarantine,
           reject = excluded.reject, changed_at = now(), changed_by = excluded.changed_by
"""
_ADD = """
    insert into shadow_differences as d (day, name, was, would_be, messages, examples)
    values ($1, $2, $3, $4, $5, $6::uuid[])
        on conflict (day, name, was, would_be) do update
       set messages = d.messages + excluded.messages,
           examples = (d.examples || excluded.examples)[1:$7]
"""
_FORGET = "delete from shadow_differences where day < $1::date - $2::int"
_REPORT = """
    select day, name, was, would_be, messages, examples from shadow_differences
     where day > current_date - $1::int and ($2::text is null or name = $2)
     order by day desc, name, was, would_be limit 1000
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpamLevels:
    """From which scores on mail is marked, goes to Junk, is refused."""

    tag: float
    quarantine: float
    reject: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Messages of a day that would have been judged otherwise, or the same though it had a say.

    Attributes:
        day: UTC.
        name: Of the set, the rule, or ``levels``.
        was: The action.
        would_be: The action with it.
        messages: How many.
        examples: Some of their ids.
    """

    day: date
    name: str
    was: str
    would_be: str
    messages: int
    examples: tuple[UUID, ...]


async def levels(queries: Queries) -> dict[str, SpamLevels]:
    """Return what operators have set, under ``live`` and ``shadow``."""
    return {
        row["state"]: SpamLevels(tag=row["tag"], quarantine=row["quarantine"], reject=row["reject"])
        for row in await queries.fetch(_LEVELS)
    }


async def set_levels(tx: Queries, state: str, its: SpamLevels | None, who: str) -> None:
    """Set levels, live or in the shadow; None leaves them to the settings again."""
    if its is None:
        await tx.execute(_REMOVE_LEVELS, state)
    else:
        await tx.execute(_SET_LEVELS, state, its.tag, its.quarantine, its.reject, who)
    await touch(tx)


async def promote_levels(tx: Queries, who: str) -> bool:
    """Make the levels in the shadow live; False if there are none."""
    is_done = bool(await tx.execute(_PROMOTE, who))
    await touch(tx)
    return is_done


async def add(tx: Queries, found: Sequence[Difference]) -> None:
    """Count differences, and forget those of long ago; belongs in one transaction."""
    for one in sorted(found, key=lambda each: (each.day, each.name, each.was, each.would_be)):
        await tx.execute(
            _ADD, one.day, one.name, one.was, one.would_be, one.messages,
            list(one.examples[:MAX_EXAMPLES]), MAX_EXAMPLES,
        )  # fmt: skip
    if found:
        await tx.execute(_FORGET, max(one.day for one in found), KEPT_DAYS)


async def report(queries: Queries, days: int, name: str | None) -> tuple[Difference, ...]:
    """Return the differences of the last ``days``, the newest first."""
    return tuple(
        Difference(**{**dict(row), "examples": tuple(row["examples"])})
        for row in await queries.fetch(_REPORT, days, name)
    )
