"""Folded text of messages: made when a search first needs it, kept beside the contents.

Whoever searches first makes sure that what he searches is `covered`: headers come from contents,
bodies from the objects, which the caller reads. Texts are folded by `posthouse.mime.text.fold`,
and so must be what is looked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from posthouse.storage.pool import Queries

TextColumn: TypeAlias = Literal["from_f", "to_f", "cc_f", "subject_f", "body_f", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderText:
    """The folded header of one message; ``header`` has a line ``name: text`` for each field."""

    content: int
    sender: str
    to: str
    cc: str
    subject: str
    header: str


_MISSING_HEADERS = """
    select c.content_id from contents c
     where c.account_id = $1 and c.content_id = any ($2)
       and not exists (select from search s where s.account_id = $1 and s.content_id = c.content_id)
"""


async def missing_headers(queries: Queries, account: int, contents: Sequence[int]) -> list[int]:
    """Return those of ``contents`` whose header is not here yet."""
    return [r["content_id"] for r in await queries.fetch(_MISSING_HEADERS, account, contents)]


_ADD_HEADERS = """
    insert into search (account_id, content_id, from_f, to_f, cc_f, subject_f, header_f)
    select $1, * from unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
    on conflict do nothing
"""


async def add_headers(queries: Queries, account: int, texts: Sequence[HeaderText]) -> None:
    """Keep folded headers."""
    columns = [
        [t.content for t in texts],
        *([_clean(text) for text in column] for column in (
            [t.sender for t in texts], [t.to for t in texts], [t.cc for t in texts],
            [t.subject for t in texts], [t.header for t in texts],
        )),
    ]  # fmt: skip
    await queries.execute(_ADD_HEADERS, account, *columns)


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


# A range instead of a list of numbers: contents of a mailbox lie close together.
_IN = "from search where account_id = $1 and content_id between $2 and $3"
_FIND = {
    "from_f": f"select content_id {_IN} and strpos(from_f, $4) > 0",
    "to_f": f"select content_id {_IN} and strpos(to_f, $4) > 0",
    "cc_f": f"select content_id {_IN} and strpos(cc_f, $4) > 0",
    "subject_f": f"select content_id {_IN} and strpos(subject_f, $4) > 0",
    "body_f": f"select content_id {_IN} and strpos(body_f, $4) > 0",
    "text": f"select content_id {_IN} and (strpos(header_f, $4) > 0 or strpos(body_f, $4) > 0)",
}


async def find_text(
    queries: Queries, account: int, between: tuple[int, int], column: TextColumn, text: str
) -> set[int]:
    """Return the contents in a range of ids, ends included, that have ``text`` there."""
    rows = await queries.fetch(_FIND[column], account, *between, _clean(text))
    return {row["content_id"] for row in rows}


_HEADERS = (
    f"select content_id, header_f {_IN} and strpos(header_f, $4) > 0 and strpos(header_f, $5) > 0"
)


async def headers_with(
    queries: Queries, account: int, between: tuple[int, int], name: str, text: str
) -> dict[int, str]:
    """Return the folded headers that have a field ``name`` and, somewhere, ``text``."""
    line, wanted = _clean(f"{name}:"), _clean(text)
    rows = await queries.fetch(_HEADERS, account, *between, line, wanted)
    return dict(rows)


def _clean(text: str) -> str:
    """PostgreSQL keeps no NUL, and no halves of surrogate pairs."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()
