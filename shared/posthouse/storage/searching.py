"""What searches need of messages: folded texts and sort values, kept beside the contents.

They are made from what is stored, by the indexer in the background or by whoever searches first:
headers come from contents, bodies from the objects, which the caller reads. Texts are folded by
`posthouse.mime.text.fold`, and so must be what is looked for.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias

from posthouse.mime.indexed import HeaderText, wanted_keys
from posthouse.storage.packed import fetch_packed
from posthouse.storage.pool import Queries

TextColumn: TypeAlias = Literal["from_f", "to_f", "cc_f", "subject_f", "body_f", "text"]
DateColumn: TypeAlias = Literal["internaldate", "savedate"]
STEP = 20_000
FEW_CONTENTS = 2000  # are named one by one; more are looked for as a range, and all of it is tested
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Among(NamedTuple):
    """Where to look: few contents, or from the first to the last of many.

    Those of a mailbox lie close together; what else lies between is passed over afterwards.
    """

    few: Sequence[int] | None
    first: int
    last: int

    @classmethod
    def these(cls, contents: Sequence[int]) -> Among:
        """Look at ``contents``, one at least."""
        few = contents if len(contents) <= FEW_CONTENTS else None
        starts = range(0, len(contents), STEP)  # others get their turn between
        first = min(min(contents[start : start + STEP]) for start in starts)
        return cls(few, first, max(max(contents[start : start + STEP]) for start in starts))


_MISSING_OF_FEW = """
    select c.content_id, s.content_id is null as lacks_header
      from contents c left join search s on s.account_id = $1 and s.content_id = c.content_id
     where c.account_id = $1 and c.content_id = any ($2::bigint[]) and c.content_id > $3
       and (s.content_id is null or ($4 and s.grams is null and (s.body_f is null or s.lacks_documents)))
     order by c.content_id limit $5
"""
_MISSING_OF_MANY = (
    "select content_id, lacks_header from missing_texts($1, $3, ($2::bigint[])[2], $4, $5)"
)
MISSING_AT_ONCE = 2000


class Missing(NamedTuple):
    """Contents that are not searchable whole: the body's text lacks, or that of documents, or the header's, too."""

    content: int
    lacks_header: bool


async def missing(
    queries: Queries, account: int, among: Among, after: int, *, with_bodies: bool
) -> list[Missing]:
    """Return some contents that nobody has folded yet, ascending, whose number is above ``after``.

    `MISSING_AT_ONCE` of them if there are more.
    """
    question = _MISSING_OF_MANY if among.few is None else _MISSING_OF_FEW
    _, where = _looked_at(among)
    rows = await queries.fetch(question, account, where, after, with_bodies, MISSING_AT_ONCE)
    return [Missing(*row) for row in rows]


HEADER_COLUMNS = """
    content_id, from_f, to_f, cc_f, subject_f, header_f, subject_s, from_s, to_s, cc_s, from_d, to_d,
    sent, sent_day, is_reply, ident, refs
"""
_ADD_HEADERS = f"""
    insert into search (account_id, {HEADER_COLUMNS})
    select $1, * from unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                             $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
                             $14::timestamptz[], $15::date[], $16::boolean[], $17::bigint[], $18::bytea[])
    on conflict do nothing
"""  # noqa: S608  constants only


async def add_headers(queries: Queries, account: int, texts: Sequence[HeaderText]) -> None:
    """Keep folded headers and sort values."""
    columns = zip(*map(header_row, texts), strict=True)
    await queries.execute(_ADD_HEADERS, account, *map(list, columns))


def header_row(text: HeaderText) -> tuple[object, ...]:
    """Return the values of `HEADER_COLUMNS`."""
    folded = (text.sender, text.to, text.cc, text.subject, text.header, *text.sort_texts)
    return (
        text.content,
        *map(clean, folded),
        _moment(text.sent),
        text.sent_day,
        text.is_reply,
        text.ident,
        struct.pack(f">{len(text.references)}q", *text.references),
    )


_ADD_BODY = """
    update search set body_f = $3, lacks_documents = false
     where account_id = $1 and content_id = $2 and grams is null
"""


async def add_body(queries: Queries, account: int, content: int, text: str) -> None:
    """Keep a folded body, that of documents included, of a message whose header is kept."""
    await queries.execute(_ADD_BODY, account, content, clean(text))


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
_PACKED = "select string_agg(int8send(content_id), '')"
_TESTS = {
    "from_f": "strpos(from_f, $3) > 0",
    "to_f": "strpos(to_f, $3) > 0",
    "cc_f": "strpos(cc_f, $3) > 0",
    "subject_f": "strpos(subject_f, $3) > 0",
    "body_f": "strpos(body_f, $3) > 0",
    "text": "(strpos(header_f, $3) > 0 or strpos(body_f, $3) > 0)",
}


async def find_text(
    queries: Queries, account: int, among: Among, column: TextColumn, text: str
) -> bytes:
    """Return contents that have ``text`` there, int8 each: those looked for, and maybe others."""
    source, arguments = _source(account, among, text)
    return await fetch_packed(queries, f"{_PACKED} {source} and {_TESTS[column]}", *arguments)


async def find_field(queries: Queries, account: int, among: Among, name: str, text: str) -> bytes:
    """Return contents with a field ``name`` that has ``text``, likewise; an empty text is in any."""
    source, arguments = _source(account, among, text)
    line = rf"(?n)^{re.escape(clean(name))}: .*{re.escape(clean(text))}"
    tests = f"strpos(header_f, $3) > 0 and header_f ~ ${len(arguments) + 1}"
    return await fetch_packed(queries, f"{_PACKED} {source} and {tests}", *arguments, line)


async def find_sent(
    queries: Queries, account: int, among: Among, since: date, before: date | None
) -> bytes:
    """Return contents whose Date field names a day from ``since`` to before ``before``, likewise.

    Without ``before`` to the end of all days, the last of which PostgreSQL takes for no day at all.
    """
    source, where = _looked_at(among)
    sql = f"{_PACKED} {source} and sent_day >= $3 and ($4::date is null or sent_day < $4)"
    return await fetch_packed(queries, sql, account, where, since, before)


_DATED = """
    select string_agg(int8send(uid), '')
      from (select uid from messages where account_id = $1 and mailbox_id = $2
               and {column} >= $3 and {column} < coalesce($4::timestamptz, 'infinity') order by uid) dated
"""


async def find_dated(
    queries: Queries,
    where: tuple[int, int],
    column: DateColumn,
    since: datetime,
    before: datetime | None,
) -> bytes:
    """Return the UIDs of a mailbox's messages dated so, int8 each; ``where`` is account and mailbox."""
    return await fetch_packed(queries, _DATED.format(column=column), *where, since, before)


def _looked_at(among: Among) -> tuple[str, Sequence[int]]:
    return (_FEW, among.few) if among.few is not None else (_MANY, (among.first, among.last))


def _source(account: int, among: Among, text: str) -> tuple[str, list[object]]:
    """Return where to look for a text, and the arguments of that from ``$1`` on; ``$3`` is the text."""
    source, where = _looked_at(among)
    keys = wanted_keys(account, text) if among.few is None else []
    arguments: list[object] = [account, where, clean(text)]
    return (_GRAMMED, [*arguments, keys]) if keys else (source, arguments)


def _moment(seconds: int | None) -> datetime | None:
    try:
        return None if seconds is None else _EPOCH + timedelta(seconds=seconds)
    except OverflowError:  # in the years 1 or 9999, by its zone
        return None


def clean(text: str) -> str:
    """PostgreSQL keeps no NUL, and no halves of surrogate pairs."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()
