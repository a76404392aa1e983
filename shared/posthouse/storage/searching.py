"""What searches need of messages: folded texts and sort values, kept beside the contents.

They are made from what is stored, by the indexer in the background or by whoever searches first:
headers come from contents, bodies from the objects, which the caller reads. Texts are folded by
`posthouse.mime.text.fold`, and so must be what is looked for.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal, TypeAlias

from posthouse.storage.pool import Queries

TextColumn: TypeAlias = Literal["from_f", "to_f", "cc_f", "subject_f", "body_f", "text"]
DateColumn: TypeAlias = Literal["internaldate", "savedate"]
FEW_CONTENTS = 2000  # are named one by one; more are looked for as a range, and all of it is tested
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderText:
    """The header of one message, folded, and what it is sorted by.

    Attributes:
        header: A line ``name: text`` for each field.
        sent: Unix seconds of the Date field, None if it tells nothing; ``sent_day`` as it is written.
        sort_texts: Base subject; local parts of From, To, Cc; display values of From and To.
        ident: Stands for the message id; ``references`` for those of its ancestors.
    """

    content: int
    sender: str
    to: str
    cc: str
    subject: str
    header: str
    sent: int | None
    sent_day: date | None
    sort_texts: tuple[str, str, str, str, str, str]
    is_reply: bool
    ident: int | None
    references: tuple[int, ...]


_MISSING_HEADERS = """
    select c.content_id from contents c
     where c.account_id = $1 and c.content_id = any ($2)
       and not exists (select from search s where s.account_id = $1 and s.content_id = c.content_id)
"""


async def missing_headers(queries: Queries, account: int, contents: Sequence[int]) -> list[int]:
    """Return those of ``contents`` whose header is not here yet."""
    return [r["content_id"] for r in await queries.fetch(_MISSING_HEADERS, account, contents)]


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
    columns = [[_clean(text) for text in column] for column in zip(*folded, strict=True)]
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


_MISSING_BODIES = """
    select content_id from search where account_id = $1 and content_id = any ($2) and body_f is null
"""


async def missing_bodies(queries: Queries, account: int, contents: Sequence[int]) -> list[int]:
    """Return those of ``contents`` whose header is here and whose body is not yet."""
    return [r["content_id"] for r in await queries.fetch(_MISSING_BODIES, account, contents)]


_ADD_BODIES = """
    update search s set body_f = new.text from unnest($2::bigint[], $3::text[]) as new (content, text)
     where s.account_id = $1 and s.content_id = new.content
"""


async def add_bodies(
    queries: Queries, account: int, contents: Sequence[int], texts: Sequence[str]
) -> None:
    """Keep folded bodies."""
    await queries.execute(_ADD_BODIES, account, contents, [_clean(text) for text in texts])


# $2 is the few contents, or the first and last of many: those of a mailbox lie close together.
_FEW = "from search where account_id = $1 and content_id = any ($2::bigint[])"
_MANY = "from search where account_id = $1 and content_id between ($2::bigint[])[1] and ($2)[2]"
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
    source, among = _among(contents)
    sql = f"select content_id {source} and {_TESTS[column]}"
    return {row["content_id"] for row in await queries.fetch(sql, account, among, _clean(text))}


async def headers_with(
    queries: Queries, account: int, contents: Sequence[int], name: str, text: str
) -> dict[int, str]:
    """Return the folded headers that have a field ``name`` and, somewhere, ``text``."""
    source, among = _among(contents)
    tests = "strpos(header_f, $3) > 0 and strpos(header_f, $4) > 0"
    sql = f"select content_id, header_f {source} and {tests}"
    return dict(await queries.fetch(sql, account, among, _clean(f"{name}:"), _clean(text)))


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


def _moment(seconds: int | None) -> datetime | None:
    try:
        return None if seconds is None else _EPOCH + timedelta(seconds=seconds)
    except OverflowError:  # in the years 1 or 9999, by its zone
        return None


def _clean(text: str) -> str:
    """PostgreSQL keeps no NUL, and no halves of surrogate pairs."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()
