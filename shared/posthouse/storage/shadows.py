"""What is tried out in the shadow of what is live: levels, and how verdicts would have differed.

Each message that was judged beside a trial is counted once for it: by what became of it and what
would have become of it with the trial. Where both are the same, it is only counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final
from uuid import UUID

from posthouse.storage.pool import Queries
from posthouse.storage.rules import touch

MAX_EXAMPLES: Final = 10  # ids that are kept of each difference and day
MOST_ROWS: Final = 1000  # of a report; what more there is stands in its totals
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
# In the order of the key: two pods that add the same wait for each other, and for nothing else.
_ADD = """
    insert into shadow_differences as d (day, name, was, would_be, messages, examples)
    select t.day, t.name, t.was, t.would_be, t.messages, string_to_array(t.examples, ' ')::uuid[]
      from unnest($1::date[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])
           as t (day, name, was, would_be, messages, examples)
     order by 1, 2, 3, 4
        on conflict (day, name, was, would_be) do update
       set messages = d.messages + excluded.messages,
           examples = (d.examples || excluded.examples)[1:$7]
"""
_FORGET = "delete from shadow_differences where day < $1::date - $2::int"
_REPORT = """
    select day, name, was, would_be, messages, examples from shadow_differences
     where day > current_date - $1::int and ($2::text is null or name = $2) and was <> would_be
     order by day desc, messages desc, name, was, would_be limit $3
"""
_TOTALS = """
    select name, sum(messages)::bigint as judged,
           coalesce(sum(messages) filter (where was <> would_be), 0)::bigint as differ
      from shadow_differences
     where day > current_date - $1::int and ($2::text is null or name = $2)
     group by name order by differ desc, name limit $3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpamLevels:
    """From which scores on mail is marked, goes to Junk, is refused."""

    tag: float
    quarantine: float
    reject: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Messages of a day of which the same was decided, and would have been with a trial.

    Attributes:
        day: UTC.
        name: What is tried out: a set, a rule, a score, or ``levels``.
        was: The action.
        would_be: The action with it.
        messages: How many.
        examples: Some of their ids, the first; none where nothing differs.
    """

    day: date
    name: str
    was: str
    would_be: str
    messages: int = 1
    examples: tuple[UUID, ...] = ()

    @property
    def key(self) -> tuple[date, str, str, str]:
        """What is counted together."""
        return self.day, self.name, self.was, self.would_be

    @property
    def count(self) -> int:
        """How many messages."""
        return self.messages

    def joined(self, earlier: Difference) -> Difference:
        """Return both as one."""
        examples = (*earlier.examples, *self.examples)[:MAX_EXAMPLES]
        return replace(self, messages=self.messages + earlier.messages, examples=examples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """How many messages were judged beside a trial, and of how many the verdict would differ."""

    name: str
    judged: int
    differ: int


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


async def add(queries: Queries, found: Sequence[Difference]) -> None:
    """Count differences, all or none."""
    told = sorted(found, key=lambda each: each.key)
    await queries.execute(
        _ADD,
        [each.day for each in told],
        [each.name for each in told],
        [each.was for each in told],
        [each.would_be for each in told],
        [each.messages for each in told],
        [" ".join(map(str, each.examples)) for each in told],
        MAX_EXAMPLES,
    )


async def forget(queries: Queries, day: date) -> None:
    """Forget what was counted long before ``day``."""
    await queries.execute(_FORGET, day, KEPT_DAYS)


async def report(queries: Queries, days: int, name: str | None) -> tuple[Difference, ...]:
    """Return the differences of the last ``days``, the newest first, of a day the most first."""
    return tuple(
        Difference(**{**dict(row), "examples": tuple(row["examples"])})
        for row in await queries.fetch(_REPORT, days, name, MOST_ROWS)
    )


async def totals(queries: Queries, days: int, name: str | None) -> tuple[Total, ...]:
    """Return how much was judged beside each trial in the last ``days``."""
    rows = await queries.fetch(_TOTALS, days, name, MOST_ROWS)
    return tuple(Total(**dict(row)) for row in rows)
