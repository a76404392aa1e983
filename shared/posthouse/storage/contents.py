"""What never changes of a message: its object, its prefix, and what one scan found.

`contents` rows are shared by COPY and never updated, so whoever read one may keep it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias
from uuid import UUID

from posthouse.storage.pool import Queries, Row

Structure: TypeAlias = Literal["envelope", "bodystructure"]
Column: TypeAlias = Literal["envelope", "bodystructure", "header", "emailid", "threadid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a message's octets are.

    Attributes:
        object_id: The object; the ledger's envelope of the same id is its origin.
        size: Octets of the object.
        prefix: Octets that stand before the object: what differs per recipient.
        header_size: Octets of the object's header, with the empty line at its end.
        parts: Where each part lies in the object, packed by `posthouse.mime`.
    """

    object_id: UUID
    size: int
    prefix: bytes
    header_size: int
    parts: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What makes a message searchable: its header with the prefix, and where its octets are."""

    account: int
    content: int
    header: bytes
    place: Place


_OF = "from contents where account_id = $1 and content_id = any ($2)"
_COLUMN = {
    "envelope": f"select content_id, envelope {_OF}",
    "bodystructure": f"select content_id, bodystructure {_OF}",
    "header": f"select content_id, prefix || header {_OF}",
    "emailid": f"select content_id, convert_to(emailid_of(object_id, prefix), 'UTF8') {_OF}",
    "threadid": """
        select content_id, convert_to(threadid_of(refs, ident, object_id, prefix), 'UTF8')
          from contents join search using (account_id, content_id)
         where account_id = $1 and content_id = any ($2)
    """,
}


async def read_column(
    queries: Queries, account: int, column: Column, contents: Sequence[int]
) -> dict[int, bytes]:
    """Return one column of ``contents``; ``header`` includes the prefix.

    ``threadid`` is there for those alone whose header has been made searchable.
    """
    return dict(await queries.fetch(_COLUMN[column], account, contents))


STRANGERS = 100  # so many more may be read with neighbours
LARGE_OCTETS = 8192  # a thousand smaller ones are read at once
# The lengths are known without the texts being read.
_SMALL = {
    column: f"select content_id, case when length({column}) <= $3 then {column} end {_OF}"
    for column in ("envelope", "bodystructure")
}
# The same of neighbours: nearly twice as quick as looking for each of them.
_SMALL_BETWEEN = {
    column: f"""
        select content_id, case when length({column}) <= $4 then {column} end
          from contents where account_id = $1 and content_id between $2 and $3
    """  # noqa: S608  constants only
    for column in ("envelope", "bodystructure")
}
_LARGE = {
    column: f"""
        select content_id, value from (
          select content_id, c.{column} as value,
                 sum(length(c.{column})) over (order by asked.n) - length(c.{column}) as before
            from unnest($2::bigint[]) with ordinality as asked (content_id, n)
            join contents c using (content_id) where c.account_id = $1
        ) each where before < $3
    """  # noqa: S608  constants only
    for column in ("envelope", "bodystructure")
}


async def read_start(
    queries: Queries, account: int, column: Structure, contents: Sequence[int], octets: int
) -> dict[int, bytes | None]:
    """Return one column of ``contents``; large ones only in their order, until so many octets are read.

    The others are None. Some of what lies between them may be there as well.
    """
    first, last = min(contents), max(contents)
    if last - first < len(contents) + STRANGERS:
        rows = await queries.fetch(_SMALL_BETWEEN[column], account, first, last, LARGE_OCTETS)
    else:
        rows = await queries.fetch(_SMALL[column], account, contents, LARGE_OCTETS)
    found: dict[int, bytes | None] = dict(rows)
    large = [content for content in contents if found.get(content, b"") is None]
    if large:
        found |= dict(await queries.fetch(_LARGE[column], account, large, octets))
    return found


_WITH_EMAILID = """
    select content_id from contents
     where account_id = $1 and content_id between $2 and $3 and emailid_of(object_id, prefix) = $4
"""
_WITH_THREADID = """
    select content_id from contents join search using (account_id, content_id)
     where account_id = $1 and content_id between $2 and $3
       and threadid_of(refs, ident, object_id, prefix) = $4
"""


async def find_ids(
    queries: Queries, account: int, between: tuple[int, int], ident: str, *, is_thread: bool
) -> set[int]:
    """Return the contents in a range that have this EMAILID, or THREADID (RFC 8474 §6)."""
    question = _WITH_THREADID if is_thread else _WITH_EMAILID
    rows = await queries.fetch(question, account, *between, ident)
    return {row["content_id"] for row in rows}


_PLACES = """
    select content_id, object_id, size, prefix, length(header) as header_size, parts
      from contents where account_id = $1 and content_id = any ($2)
"""


async def read_places(queries: Queries, account: int, contents: Sequence[int]) -> dict[int, Place]:
    """Return where the octets of ``contents`` are."""
    rows = await queries.fetch(_PLACES, account, contents)
    return {row["content_id"]: _place(row) for row in rows}


_PLACES_AHEAD = f"{_PLACES} and (content_id = $3 or length(parts) <= $4)"
_HEADERS_AHEAD = f"{_COLUMN['header']} and (content_id = $3 or length(header) <= $4)"


async def read_places_ahead(
    queries: Queries, account: int, contents: Sequence[int]
) -> dict[int, Place]:
    """Return where the octets of the first of ``contents`` are, and of those with few parts."""
    rows = await queries.fetch(_PLACES_AHEAD, account, contents, contents[0], LARGE_OCTETS)
    return {row["content_id"]: _place(row) for row in rows}


async def read_headers_ahead(
    queries: Queries, account: int, contents: Sequence[int]
) -> dict[int, bytes]:
    """Return the header with the prefix of the first of ``contents``, and of those where it is small."""
    return dict(await queries.fetch(_HEADERS_AHEAD, account, contents, contents[0], LARGE_OCTETS))


_SOURCES = """
    select account_id, content_id, prefix || header as whole_header, object_id, size, prefix,
           length(header) as header_size, parts
      from unnest($1::bigint[], $2::bigint[]) with ordinality as asked (account_id, content_id, n)
      join contents using (account_id, content_id) order by n
"""


async def read_sources(queries: Queries, keys: Sequence[tuple[int, int]]) -> list[Source]:
    """Return headers and places of contents of several accounts, in their order; some may be gone."""
    accounts, contents = [account for account, _ in keys], [content for _, content in keys]
    return [
        Source(
            account=row["account_id"],
            content=row["content_id"],
            header=row["whole_header"],
            place=_place(row),
        )
        for row in await queries.fetch(_SOURCES, accounts, contents)
    ]


_PLACE = """
    select object_id, c.size, prefix, length(header) as header_size, parts
      from messages m join contents c using (account_id, content_id)
     where account_id = $1 and mailbox_id = $2 and uid = $3
"""


async def find_place(queries: Queries, account: int, mailbox: int, uid: int) -> Place | None:
    """Return where the octets of one message are, None if there is none such."""
    row = await queries.fetchrow(_PLACE, account, mailbox, uid)
    return None if row is None else _place(row)


def _place(row: Row) -> Place:
    return Place(
        object_id=row["object_id"],
        size=row["size"],
        prefix=row["prefix"],
        header_size=row["header_size"],
        parts=row["parts"],
    )


_OBJECTS = f"select distinct object_id {_OF}"


async def object_ids(queries: Queries, account: int, contents: Sequence[int]) -> list[UUID]:
    """Return the objects that ``contents`` show."""
    return [row["object_id"] for row in await queries.fetch(_OBJECTS, account, contents)]
