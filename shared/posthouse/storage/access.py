"""Allow and deny lists: who may send to the house, to one of its domains, to one account.

    whose   *, a domain of ours, or an account's address
    kind    what is looked at: sender, author, recipient, client, hello, reverse, header; rule: what
            was found
    key     see `posthouse.mail.access_keys`

A lookup is by whole keys: it costs the same with any number of entries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from posthouse.mail.access_keys import KINDS, Kind
from posthouse.storage.directory.errors import NoSuchEntry
from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Pool, Queries, Row

Action: TypeAlias = Literal["allow", "except", "deny", "defer", "discard", "score", "hold"]
Key: TypeAlias = tuple[Kind, str]

EVERYBODY = "*"
BITE = 500  # rows per statement
DIGEST_OCTETS = 8

_COLUMNS = "whose, kind, key, action, score, forced, text, comment, added_by, added_at, expires_at"
# Rows are locked in the order of their keys: two imports never wait for each other.
_PUT = """
    insert into access as a (whose, kind, key, action, score, forced, text, comment, added_by,
                             expires_at)
    select whose, kind, key, action, score, forced, text, comment, added_by, now() + $10::interval
      from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::float8[], $6::boolean[],
                  $7::text[], $8::text[], $9::text[])
        as n (whose, kind, key, action, score, forced, text, comment, added_by)
     order by kind, key, whose
        on conflict (kind, key, whose) do update
       set action = excluded.action, score = excluded.score, forced = excluded.forced,
           text = excluded.text, comment = excluded.comment, added_by = excluded.added_by,
           added_at = now(), expires_at = excluded.expires_at
     where (a.action, a.score, a.forced, a.text, a.comment, a.expires_at) is distinct from
           (excluded.action, excluded.score, excluded.forced, excluded.text, excluded.comment,
            excluded.expires_at)
"""
_REMOVE = "delete from access where kind = $1 and key = $2 and whose = $3"
_REMOVE_MANY = """
    delete from access using unnest($1::text[], $2::text[]) as k (kind, key)
     where access.kind = k.kind and access.key = k.key and whose = $3
"""
_LIST = f"""
    select {_COLUMNS} from access
     where (kind, key, whose) > ($1, $2, $3) and ($5::text is null or whose = $5)
       and (expires_at is null or expires_at > now())
     order by kind, key, whose limit $4
"""  # noqa: S608 - columns are ours
# Key by key by the index, whatever the statistics say: they may be of the time before an import.
_FIND = f"""
    select found.* from unnest($1::text[], $2::text[]) as k (kind, key), lateral (
        select {_COLUMNS} from access as a
         where a.kind = k.kind and a.key = k.key and a.whose = any ($3) and (a.action = 'hold') = $4
           and (a.expires_at is null or a.expires_at > now())
        offset 0) as found
"""  # noqa: S608 - columns are ours
_HELD_KINDS = "select distinct kind from access where action = 'hold'"
_NEWS = """
    select now() as at, array(
        select kind from unnest($1::text[]) as k (kind)
         where (select true from access as a where a.kind = k.kind and a.action <> 'hold' limit 1)
    ) as kinds, (
        select coalesce(string_agg(substring(decode(md5(kind || ' ' || key), 'hex') for 8), ''), '')
          from (select kind, key from access
                 where action <> 'hold' and added_at > coalesce($2::timestamptz, '-infinity')
                 limit $3) as fresh
    ) as digests
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
        action: ``deny`` refuses for good, ``defer`` for now; ``allow`` spares it lists, greylisting
            and scores; ``except`` takes it out of what the same list says with a wider key;
            ``discard`` takes it and throws it away; ``hold`` takes it and lets it wait for an
            operator, whatever else is said of it.
        score: Points, where the action is ``score``.
        forced: It allows what anybody may claim without proof.
        text: What a sender is told who is refused; empty: a general text.
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
    text: str = ""
    comment: str = ""
    added_by: str = ""
    added_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class News:
    """What is new in the lists; entries that hold mail aside.

    Attributes:
        at: When this was so, by the clock of PostgreSQL.
        kinds: Of which kinds there are entries, perhaps no more.
        digests: Of the keys of new entries, `DIGEST_OCTETS` each.
    """

    at: datetime
    kinds: frozenset[Kind]
    digests: bytes


async def put_entry(queries: Queries, entry: Entry, lasts: timedelta | None = None) -> None:
    """Write an entry, or change the one with its key; without ``lasts`` for ever."""
    await put_entries(queries, [entry], lasts)


async def put_entries(
    queries: Queries, some: Sequence[Entry], lasts: timedelta | None = None
) -> int:
    """Write entries, the last one of each key; return how many are different now."""
    rows = {(each.kind, each.key, each.whose): each for each in some}.values()
    return await queries.execute(
        _PUT,
        [each.whose for each in rows],
        [each.kind for each in rows],
        [each.key for each in rows],
        [each.action for each in rows],
        [each.score for each in rows],
        [each.forced for each in rows],
        [each.text for each in rows],
        [each.comment for each in rows],
        [each.added_by for each in rows],
        lasts,
    )


async def remove_entries(queries: Queries, keys: Sequence[Key], whose: str) -> int:
    """Remove entries of one list; return how many there were."""
    kinds, names = [kind for kind, _ in keys], [key for _, key in keys]
    return await queries.execute(_REMOVE_MANY, kinds, names, whose)


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


async def news(queries: Queries, since: datetime | None, limit: int) -> News:
    """Return up to ``limit`` keys written since then, without it of all entries."""
    row = await queries.fetchrow(_NEWS, list(KINDS), since, limit)
    if row is None:
        raise TypeError("a row that is always there")
    return News(row["at"], frozenset(row["kinds"]), row["digests"])


def digest_of(key: Key) -> bytes:
    """Return what stands for a key in `News`."""
    text = f"{key[0]} {key[1]}".encode("utf-8", "replace")
    return hashlib.md5(text, usedforsecurity=False).digest()[:DIGEST_OCTETS]


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
