"""Allow and deny lists: who may send to the house, to one of its domains, to one account.

    whose   *, a domain of ours, or an account's address
    kind    what is looked at: sender, author, client, hello, reverse, header; rule: what was found
    key     see `posthouse.mail.access_keys`

A lookup is by whole keys: it costs the same with any number of entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from posthouse.mail.access_keys import KINDS, Kind
from posthouse.storage.directory.errors import NoSuchEntry
from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Pool, Queries, Row

Action: TypeAlias = Literal["allow", "deny", "score", "hold"]
Key: TypeAlias = tuple[Kind, str]

EVERYBODY = "*"
BITE = 500  # rows per statement

_COLUMNS = "whose, kind, key, action, score, forced, comment, added_by, added_at, expires_at"
_PUT = """
    insert into access (whose, kind, key, action, score, forced, comment, added_by, expires_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, now() + $9::interval)
        on conflict (kind, key, whose) do update
       set action = excluded.action, score = excluded.score, forced = excluded.forced,
           comment = excluded.comment, added_by = excluded.added_by, added_at = now(),
           expires_at = excluded.expires_at
"""
_REMOVE = "delete from access where kind = $1 and key = $2 and whose = $3"
_LIST = f"""
    select {_COLUMNS} from access
     where (kind, key, whose) > ($1, $2, $3) and ($5::text is null or whose = $5)
       and (expires_at is null or expires_at > now())
     order by kind, key, whose limit $4
"""  # noqa: S608 - columns are ours
_FIND = f"""
    select {_COLUMNS}
      from unnest($1::text[], $2::text[]) as k (kind, key) join access using (kind, key)
     where whose = any ($3) and (expires_at is null or expires_at > now())
       and (action = 'hold') = $4
"""  # noqa: S608 - columns are ours
_HELD_KINDS = "select distinct kind from access where action = 'hold'"
_KINDS = """
    select kind from unnest($1::text[]) as k (kind)
     where exists (select from access where access.kind = k.kind and access.action <> 'hold')
"""
_EXPIRE = """
    delete from access where ctid = any (array(
        select ctid from access where expires_at <= now() limit $1 for update skip locked))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry.

    Attributes:
        whose: Whose mail it is about: a domain's, an account's, or `EVERYBODY`'s.
        kind: What is looked at.
        key: What it must be.
        action: ``deny`` refuses, ``allow`` spares it lists, greylisting and scores; ``hold`` takes
            it and lets it wait for an operator, whatever else is said of it.
        score: Points, where the action is ``score``.
        forced: It allows what anybody may claim without proof.
        comment: For people.
        added_by: Who said so.
        added_at: When (UTC).
        expires_at: Until when; None: for ever.
    """

    whose: str
    kind: Kind
    key: str
    action: Action
    score: float = 0.0
    forced: bool = False
    comment: str = ""
    added_by: str = ""
    added_at: datetime | None = None
    expires_at: datetime | None = None


async def put_entry(queries: Queries, entry: Entry, lasts: timedelta | None = None) -> None:
    """Write an entry, or change the one with its key; without ``lasts`` for ever."""
    await queries.execute(
        _PUT,
        entry.whose,
        entry.kind,
        entry.key,
        entry.action,
        entry.score,
        entry.forced,
        entry.comment,
        entry.added_by,
        lasts,
    )


async def remove_entry(queries: Queries, kind: Kind, key: str, whose: str) -> None:
    """Remove an entry; raise `NoSuchEntry`."""
    if not await queries.execute(_REMOVE, kind, key, whose):
        raise NoSuchEntry(f"no entry for {kind} {key} of {whose}")


async def entries(
    queries: Queries,
    after: tuple[str, str, str] = ("", "", ""),
    limit: int = 1000,
    *,
    whose: str | None = None,
) -> tuple[Entry, ...]:
    """Return up to ``limit`` entries that hold, behind the kind, key and whose of ``after``."""
    rows = await queries.fetch(_LIST, *after, limit, whose)
    return tuple(map(_entry, rows))


async def find_entries(
    queries: Queries, keys: Sequence[Key], whose: Sequence[str], *, holding: bool = False
) -> tuple[Entry, ...]:
    """Return the entries with these keys for any of ``whose``: those that hold mail, or the others."""
    kinds, names = [kind for kind, _ in keys], [storable(key) for _, key in keys]
    return tuple(map(_entry, await queries.fetch(_FIND, kinds, names, list(whose), holding)))


async def kinds_in_use(queries: Queries) -> frozenset[Kind]:
    """Return of which kinds there are entries, perhaps no more; those that hold mail aside."""
    return frozenset(row["kind"] for row in await queries.fetch(_KINDS, list(KINDS)))


async def kinds_that_hold(queries: Queries) -> frozenset[Kind]:
    """Return of which kinds there are entries that hold mail."""
    return frozenset(row["kind"] for row in await queries.fetch(_HELD_KINDS))


async def tidy_entries(pool: Pool) -> int:
    """Remove entries that are over; return how many."""
    total = 0
    while gone := await pool.execute(_EXPIRE, BITE):
        total += gone
    return total


def _entry(row: Row) -> Entry:
    return Entry(**dict(row))
