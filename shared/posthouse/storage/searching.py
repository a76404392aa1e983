"""What searches need of messages: folded texts and sort values, kept beside the contents.

They are made from what is stored, by the indexer in the background or by whoever searches first:
headers come from contents, bodies from the objects, which the caller reads. Texts are folded by
`posthouse.mime.text.fold`, and so must be what is looked for.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal, TypeAlias

from posthouse.mime.indexed import HeaderText, wanted_keys
from posthouse.storage.pool import Queries

TextColumn: TypeAlias = Literal["from_f", "to_f", "cc_f", "subject_f", "body_f", "text"]
DateColumn: TypeAlias = Literal["internaldate", "savedate"]
FEW_CONTENTS = 2000  # are named one by one; more are looked for as a range, and all of it is tested
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


_MISSING = """
    select u.content_id, s.content_id is null as lacks_header
      from unindexed u left join search s on s.account_id = $1 and s.content_id = u.content_id
     where u.account_id = $1 and u.content_id between ($2::bigint[])[1] and ($2)[2]
       and (s.content_id is null or ($3 and s.body_f is null))
     order by u.content_id
"""


async def missing(
    queries: Queries, account: int, contents: Sequence[int], *, with_bodies: bool
) -> tuple[list[int], list[int]]:
    """Return those of ``contents`` whose header, and those whose body, nobody has folded yet."""
    between = (min(contents), max(contents))
    rows = await queries.fetch(_MISSING, account, between, with_bodies)
    wanted = set(contents) if rows else set[int]()
    rows = [row for row in rows if row["content_id"] in wanted]
    headers = [row["content_id"] for row in rows if row["lacks_header"]]
    return headers, [row["content_id"] for row in rows] if with_bodies else []


_ADD_HEADERS = """
    insert into search (account_id, content_id, from_f, to_f, cc_f, subject_f, header_f,
                        subject_s, from_s, to_s, cc_s, from_d, to_d,
                        sent, sent_day, is_reply, ident, refs)
    select $1, * from unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                             $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
                             $14::timestamptz[], $15::date[], $16::boolean[], $17::bigint[], $18::bytea[])
    on conflict do nothing
"""


async def add_headers(queries: Queries, account: int, texts: Sequence[HeaderText]) -> None:
    """Keep folded headers and sort values."""
    folded = [(t.sender, t.to, t.cc, t.subject, t.header, *t.sort_texts) for t in texts]
    columns = [[clean(text) for text in column] for column in zip(*folded, strict=True)]
    await queries.execute(
        _ADD_HEADERS,
        account,
        [t.content for t in texts],
        *columns,
        [_moment(t.sent) for t in texts],
        [t.sent_day for t in texts],
        [t.is_reply for t in texts],
        [t.ident for t in texts],
        [struct.pack(f">{len(t.references)}q", *t.references) for t in texts],
    )


_ADD_BODIES = """
    update search s set body_f = new.text from unnest($2::bigint[], $3::text[]) as new (content, text)
     where s.account_id = $1 and s.content_id = new.content
"""


async def add_bodies(
    queries: Queries, account: int, contents: Sequence[int], texts: Sequence[str]
) -> None:
    """Keep folded bodies."""
    await queries.execute(_ADD_BODIES, account, contents, [clean(text) for text in texts])


# $2 is the few contents, or the first and last of many: those of a mailbox lie close together.
_FEW = "from search where account_id = $1 and content_id = any ($2::bigint[])"
_MANY = "from search where account_id = $1 and content_id between ($2::bigint[])[1] and ($2)[2]"
# By the index alone, whatever the planner thinks of accounts; the rest of them, not indexed yet, is tested.
_GRAMMED = """
    from (with hits as materialized (select * from search where grams @> $4::int[])
          select * from hits where account_id = $1
          union all
          select * from search where account_id = $1 and grams is null) s
   where content_id between ($2::bigint[])[1] and ($2)[2]
"""
_TESTS = {
    "from_f": "strpos(from_f, $3) > 0",
    "to_f": "strpos(to_f, $3) > 0",
    "cc_f": "strpos(cc_f, $3) > 0",
    "subject_f": "strpos(subject_f, $3) > 0",
    "body_f": "strpos(body_f, $3) > 0",
    "text": "(strpos(header_f, $3) > 0 or strpos(body_f, $3) > 0)",
}


async def find_text(
    queries: Queries, account: int, contents: Sequence[int], column: TextColumn, text: str
) -> set[int]:
    """Return contents that have ``text`` there: those of ``contents``, and maybe others."""
    source, arguments = _source(account, contents, text)
    sql = f"select content_id {source} and {_TESTS[column]}"
    return {row["content_id"] for row in await queries.fetch(sql, *arguments)}


async def headers_with(
    queries: Queries, account: int, contents: Sequence[int], name: str, text: str
) -> dict[int, str]:
    """Return the folded headers that have a field ``name`` and, somewhere, ``text``."""
    line = f"{name}:"
    source, arguments = _source(account, contents, text)
    tests = f"strpos(header_f, $3) > 0 and strpos(header_f, ${len(arguments) + 1}) > 0"
    sql = f"select content_id, header_f {source} and {tests}"
    return dict(await queries.fetch(sql, *arguments, clean(line)))


async def find_sent(
    queries: Queries, account: int, contents: Sequence[int], since: date, before: date
) -> set[int]:
    """Return contents whose Date field names a day from ``since`` to before ``before``; and maybe others."""
    source, among = _among(contents)
    sql = f"select content_id {source} and sent_day >= $3 and sent_day < $4"
    return {row["content_id"] for row in await queries.fetch(sql, account, among, since, before)}


_DATED = """
    select coalesce(string_agg(int8send(uid), '' order by uid), '') as uids from messages
     where account_id = $1 and mailbox_id = $2 and {column} >= $3 and {column} < $4
"""


async def find_dated(
    queries: Queries,
    where: tuple[int, int],
    column: DateColumn,
    since: datetime,
    before: datetime,
) -> bytes:
    """Return the UIDs of a mailbox's messages dated so, int8 each; ``where`` is account and mailbox."""
    row = await queries.fetchrow(_DATED.format(column=column), *where, since, before)
    return bytes(row["uids"]) if row is not None else b""


def _among(contents: Sequence[int]) -> tuple[str, Sequence[int]]:
    if len(contents) <= FEW_CONTENTS:
        return _FEW, contents
    return _MANY, (min(contents), max(contents))


def _source(account: int, contents: Sequence[int], text: str) -> tuple[str, list[object]]:
    """Return where to look for a text, and the arguments of that from ``$1`` on; ``$3`` is the text."""
    source, among = _among(contents)
    keys = wanted_keys(account, text) if source is _MANY else []
    arguments: list[object] = [account, among, clean(text)]
    return (_GRAMMED, [*arguments, keys]) if keys else (source, arguments)


def _moment(seconds: int | None) -> datetime | None:
    try:
        return None if seconds is None else _EPOCH + timedelta(seconds=seconds)
    except OverflowError:  # in the years 1 or 9999, by its zone
        return None


def clean(text: str) -> str:
    """PostgreSQL keeps no NUL, and no halves of surrogate pairs."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()
