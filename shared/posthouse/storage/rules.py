"""Rules that messages are scored by: sets of them, each a draft, in the shadow of the live ones, or live.

What operators say of single rules (their own score, a state) outlives a new import of the set.
Every change gives the table a new version; by it pods see that there is something to load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from posthouse.rules.rule import MAX_SCORE, Kind, Rule
from posthouse.storage.directory.errors import DirectoryError, NoSuchEntry
from posthouse.storage.pool import Queries, Row
from posthouse.storage.rules_in_force import RuleState, SetState, StoredRule, in_force

MAX_ALL: Final = 50_000  # rules in all sets
MAX_SETS: Final = 100

_TOUCH = "update rules_version set version = version + 1"
_VERSION = "select version from rules_version"
_PUT_SET = """
    insert into rule_sets (name, changed_by)
    select $1, $2 where (select count(*) from rule_sets where name <> $1) < $3
        on conflict (name) do update set changed_at = now(), changed_by = excluded.changed_by
"""
_DROP_OTHERS = "delete from rules where rule_set = $1 and name <> all($2::text[])"
_PUT_RULES = """
    insert into rules (rule_set, name, place, kind, source, scores, about, flags)
    select $1, t.name, t.place, t.kind, t.source, string_to_array(t.scores, ' ')::float8[], t.about,
           string_to_array(t.flags, ' ')
      from unnest($2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
           as t (name, place, kind, source, scores, about, flags)
        on conflict (rule_set, name) do update set place = excluded.place, kind = excluded.kind,
           source = excluded.source, scores = excluded.scores, about = excluded.about,
           flags = excluded.flags
"""
_COUNT = "select count(*) as rules from rules"
_COLUMNS = """
    select r.rule_set, r.name, r.kind, r.source, r.scores, r.about, r.flags, r.own_score, r.own_state,
           r.tried_score, s.state as set_state
      from rules r join rule_sets s on s.name = r.rule_set
"""
_ACTIVE = (
    _COLUMNS
    + """
     where s.state <> 'draft' and r.own_state is distinct from 'disabled'
     order by r.rule_set, r.place
"""
)
_OF_SET = _COLUMNS + " where r.rule_set = $1 order by r.place"
_PAGE = (
    _COLUMNS
    + """
     where (r.name, r.rule_set) > ($1, $2) and ($3::text is null or r.rule_set = $3)
     order by r.name, r.rule_set limit $4
"""
)
_NAMED = _COLUMNS + " where r.name = $1 order by r.rule_set"
_TRIED = (
    _COLUMNS
    + """
     where s.state = 'live' and (r.own_state = 'shadow' or r.tried_score is not null) order by r.name
     limit 1000
"""
)
_SETS = """
    select s.name, s.state, s.changed_at, s.changed_by,
           (select count(*) from rules r where r.rule_set = s.name) as rules
      from rule_sets s order by s.name
"""
_SET_STATE = """
    update rule_sets set state = $2, changed_at = now(), changed_by = $3 where name = $1
"""
_CLASHES = """
    select r.name, r.rule_set from rules r join rule_sets s on s.name = r.rule_set
     where s.state <> 'draft' and r.rule_set <> $1
       and r.name in (select name from rules where rule_set = $1) order by r.name limit 5
"""
_REMOVE_SET = "delete from rule_sets where name = $1"
_SCORE = "update rules set own_score = $2 where name = $1"
_TRY_SCORE = "update rules set tried_score = $2 where name = $1"
_STATE = "update rules set own_state = $2 where name = $1"
_PROMOTE = """
    update rules set own_state = case when own_state = 'shadow' then null else own_state end,
           own_score = coalesce(tried_score, own_score), tried_score = null
     where name = $1 and (own_state = 'shadow' or tried_score is not null)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """A set, who changed it last and when, and how many rules it has."""

    name: str
    state: SetState
    changed_at: datetime
    changed_by: str
    rules: int


async def version(queries: Queries) -> int:
    """Return a number that changes whenever anything that is run changes."""
    return int((await queries.fetch(_VERSION))[0]["version"])


async def touch(queries: Queries) -> None:
    """Let every pod load anew; belongs in the transaction of the change."""
    await queries.execute(_TOUCH)


async def put_set(tx: Queries, name: str, rules: Sequence[Rule], who: str) -> None:
    """Make ``rules`` the set ``name``, a new one as a draft; raise `DirectoryError` if it is full."""
    if not await tx.execute(_PUT_SET, name, who, MAX_SETS):
        raise DirectoryError(f"there are {MAX_SETS} sets of rules already")
    await tx.execute(_DROP_OTHERS, name, [rule.name for rule in rules])
    await tx.execute(
        _PUT_RULES,
        name,
        [rule.name for rule in rules],
        list(range(len(rules))),
        [rule.kind for rule in rules],
        [rule.source for rule in rules],
        [" ".join(map(repr, rule.scores)) for rule in rules],
        [rule.about for rule in rules],
        [" ".join(rule.flags) for rule in rules],
    )
    if int((await tx.fetch(_COUNT))[0]["rules"]) > MAX_ALL:
        raise DirectoryError(f"all sets together have at most {MAX_ALL} rules")
    await touch(tx)


async def active(queries: Queries) -> tuple[StoredRule, ...]:
    """Return the rules that run, live ones and shadows: `in_force`."""
    return in_force(tuple(map(_stored, await queries.fetch(_ACTIVE))))


async def of_set(queries: Queries, name: str) -> tuple[StoredRule, ...]:
    """Return all rules of a set."""
    return tuple(map(_stored, await queries.fetch(_OF_SET, name)))


async def named(queries: Queries, name: str) -> tuple[StoredRule, ...]:
    """Return the rules of a name, one of each set that has it; `NoSuchEntry` if none has."""
    found = tuple(map(_stored, await queries.fetch(_NAMED, name)))
    if not found:
        raise NoSuchEntry(f"no rule {name}")
    return found


async def listed(
    queries: Queries, after: tuple[str, str], limit: int, of: str | None
) -> tuple[StoredRule, ...]:
    """Return rules by name, then set, behind ``after``; of one set, or of all."""
    return tuple(map(_stored, await queries.fetch(_PAGE, *after, of, limit)))


async def tried(queries: Queries) -> tuple[StoredRule, ...]:
    """Return rules of live sets that are in the shadow, or whose score is tried out."""
    return tuple(map(_stored, await queries.fetch(_TRIED)))


async def sets(queries: Queries) -> tuple[RuleSet, ...]:
    """Return all sets; they are few."""
    return tuple(RuleSet(**dict(row)) for row in await queries.fetch(_SETS))


async def set_state(tx: Queries, name: str, state: SetState, who: str) -> None:
    """Change a set's state; `NoSuchEntry`, and `DirectoryError` if a shadow would hide live rules."""
    if state == "shadow":
        clashes = await tx.fetch(_CLASHES, name)
        if clashes:
            shown = ", ".join(f"{row['name']} ({row['rule_set']})" for row in clashes)
            raise DirectoryError(f"a shadow needs names of its own; others have {shown}")
    if not await tx.execute(_SET_STATE, name, state, who):
        raise NoSuchEntry(f"no set of rules {name}")
    await touch(tx)


async def remove_set(tx: Queries, name: str) -> None:
    """Forget a set with its rules; raise `NoSuchEntry`."""
    if not await tx.execute(_REMOVE_SET, name):
        raise NoSuchEntry(f"no set of rules {name}")
    await touch(tx)


async def set_score(tx: Queries, name: str, score: float | None) -> None:
    """Give a rule a score of its own, or its set's again; raise `NoSuchEntry`, `DirectoryError`."""
    await _set_score(tx, _SCORE, name, score)


async def try_score(tx: Queries, name: str, score: float | None) -> None:
    """Try a score of a rule out, or no more; raise `NoSuchEntry`, `DirectoryError`."""
    await _set_score(tx, _TRY_SCORE, name, score)


async def set_rule_state(tx: Queries, name: str, state: RuleState) -> None:
    """Turn a rule off, into a shadow, or on as its set is; raise `NoSuchEntry`."""
    if not await tx.execute(_STATE, name, None if state == "live" else state):
        raise NoSuchEntry(f"no rule {name}")
    await touch(tx)


async def _set_score(tx: Queries, sql: str, name: str, score: float | None) -> None:
    if score is not None and not abs(score) <= MAX_SCORE:
        raise DirectoryError(f"a score is between -{MAX_SCORE:.0f} and {MAX_SCORE:.0f}")
    if not await tx.execute(sql, name, score):
        raise NoSuchEntry(f"no rule {name}")
    await touch(tx)


async def promote(tx: Queries, name: str, who: str) -> bool:
    """Make a set, a rule or a score that is tried out live; False if there is none of this name."""
    shadows = {each.name for each in await sets(tx) if each.state == "shadow"}
    if name in shadows:
        await set_state(tx, name, "live", who)
        return True
    if await tx.execute(_PROMOTE, name):
        await touch(tx)
        return True
    return False


def _stored(row: Row) -> StoredRule:
    own = row["own_score"]
    return StoredRule(
        rule_set=row["rule_set"],
        rule=Rule(
            name=row["name"],
            kind=cast("Kind", row["kind"]),
            source=row["source"],
            scores=tuple(row["scores"]) if own is None else (own,),
            about=row["about"],
            flags=tuple(row["flags"]),
        ),
        own_score=own,
        own_state=row["own_state"],
        tried_score=row["tried_score"],
        set_state=row["set_state"],
    )
