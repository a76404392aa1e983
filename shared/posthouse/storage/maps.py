"""Maps of addresses: what operators have written, entry by entry (`posthouse.mail.maps`).

Keys are looked up with everything else that an address means (`directory.resolve`), so a hundred
thousand entries cost a lookup what ten do. Patterns have no key to be found by: all of them are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from posthouse.mail.address import Address
from posthouse.mail.map_patterns import compiled, filled
from posthouse.mail.maps import KINDS, PATTERN, Entry, Kind, candidates
from posthouse.storage.directory.errors import NoSuchEntry, TooMany
from posthouse.storage.pool import Pool, Queries, Row, Tx, transaction

MAX_PATTERNS = 1000  # of all maps: each is tried
BATCH = 1000  # entries a statement

# Rows that say so already are not written again: the second run of an import changes nothing.
_SET = """
    insert into map_entries (kind, key, targets)
    select k.kind, k.key, coalesce(string_to_array(nullif(k.targets, ''), e'\\n'), '{}')
      from unnest($1::text[], $2::text[], $3::text[]) as k (kind, key, targets)
        on conflict (key, kind) do update set targets = excluded.targets
     where map_entries.targets is distinct from excluded.targets
"""
_REMOVE = "delete from map_entries where kind = $1 and key = $2"
_LIST = """
    select kind, key, targets from map_entries
     where (kind, key) > ($1, $2) and ($3 = '' or kind = $3) order by kind, key limit $4
"""
_OF_KEYS = "select kind, key, targets from map_entries where key = any($1::text[])"
_DELIMITERS = "select delimiters from domains where domain = $1"
_COUNT_PATTERNS = "select count(*) from map_entries where key like '/%'"
_KINDS = """
    select k.kind from unnest($1::text[]) as k (kind)
     where exists (select from map_entries m where m.kind = k.kind)
"""
_PATTERNS = """
    select kind, key, targets from map_entries where key like '/%' order by kind, key limit $1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Which maps there are, and the patterns in them.

    Attributes:
        kinds: Maps with any entry.
        patterns: Theirs, in the order in which they are tried.
    """

    kinds: frozenset[Kind] = frozenset()
    patterns: Mapping[Kind, tuple[Entry, ...]] = field(default_factory=dict)


async def set_entries(queries: Pool | Tx, entries: Sequence[Entry]) -> int:
    """Write entries, replacing those of their keys; return how many are different now.

    Raises `TooMany` if there would be more than `MAX_PATTERNS` patterns, and `BadEntry` if RE2 does
    not know one of them.
    """
    for each in entries:
        if each.key.startswith(PATTERN):
            compiled(each.key)
    changed = 0
    async with transaction(queries) as tx:
        for start in range(0, len(entries), BATCH):
            some = {(each.kind, each.key): each for each in entries[start : start + BATCH]}
            changed += await tx.execute(
                _SET,
                [each.kind for each in some.values()],
                [each.key for each in some.values()],
                ["\n".join(each.targets) for each in some.values()],
            )
        if int(str(await tx.fetchval(_COUNT_PATTERNS))) > MAX_PATTERNS:
            raise TooMany(f"more than {MAX_PATTERNS} patterns")
    return changed


async def remove_entry(queries: Queries, kind: Kind, key: str) -> None:
    """Remove an entry; raise `NoSuchEntry`."""
    if not await queries.execute(_REMOVE, kind, key):
        raise NoSuchEntry(f"{kind} has no entry {key}")


async def entries(
    queries: Queries, after: tuple[str, str] = ("", ""), limit: int = 1000, *, kind: str = ""
) -> tuple[Entry, ...]:
    """Return up to ``limit`` entries behind ``after`` (kind and key), of one map or of all."""
    return tuple(map(_entry, await queries.fetch(_LIST, *after, kind, limit)))


async def entries_of(queries: Queries, keys: Sequence[str]) -> tuple[Entry, ...]:
    """Return what all maps say of ``keys``."""
    return tuple(map(_entry, await queries.fetch(_OF_KEYS, list(keys))))


async def matches(queries: Queries, address: Address) -> tuple[Entry, ...]:
    """Return what each map says of ``address``: the entry that fits best, groups filled in."""
    domain = await queries.fetchval(_DELIMITERS, address.domain)
    keys = list(candidates(address, None if domain is None else str(domain)))
    found = {(each.kind, each.key): each for each in await entries_of(queries, keys)}
    patterns = (await shape(queries)).patterns
    best = (_best(kind, address, keys, found, patterns.get(kind, ())) for kind in KINDS)
    return tuple(each for each in best if each is not None)


def _best(
    kind: Kind,
    address: Address,
    keys: Sequence[str],
    found: Mapping[tuple[Kind, str], Entry],
    patterns: Sequence[Entry],
) -> Entry | None:
    for key in keys:
        if key == PATTERN:
            for each in patterns:
                if (hit := compiled(each.key).search(address.key)) is not None:
                    return replace(each, targets=tuple(filled(t, hit) for t in each.targets))
        elif (kind, key) in found:
            return found[kind, key]
    return None


async def shape(queries: Queries) -> Shape:
    """Return which maps there are, with their patterns."""
    kinds = frozenset(row["kind"] for row in await queries.fetch(_KINDS, list(KINDS)))
    if not kinds:
        return Shape()
    patterns: dict[Kind, tuple[Entry, ...]] = {}
    for each in map(_entry, await queries.fetch(_PATTERNS, MAX_PATTERNS)):
        patterns[each.kind] = (*patterns.get(each.kind, ()), each)
    return Shape(kinds=kinds, patterns=patterns)


def _entry(row: Row) -> Entry:
    return Entry(kind=row["kind"], key=row["key"], targets=tuple(row["targets"] or ()))
