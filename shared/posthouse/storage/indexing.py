"""The indexer's rows: what waits for it, and what it made (see `searching` for who looks at that)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from posthouse.mime.indexed import HeaderText
from posthouse.storage.pool import Pool, Queries, transaction
from posthouse.storage.searching import add_headers, clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What one message is found by.

    Attributes:
        header: Its header.
        body: The folded text of its parts.
        keys: Of its grams; None if it has too many.
    """

    header: HeaderText
    body: str
    keys: Sequence[int] | None


# `skip locked`: two may offer at once. What was offered and never done is offered again.
_OFFER = """
    with fresh as materialized (
        {fresh}
    ), forgotten as materialized (
        select account_id, content_id from unindexed where offered < now() - $2::interval
         order by offered limit $1 for update skip locked
    ), due as (select * from fresh union all select * from forgotten)
    update unindexed u set offered = now() from due
     where u.account_id = due.account_id and u.content_id = due.content_id
 returning u.account_id, u.content_id
"""


_OF_ALL = """
    select account_id, content_id from unindexed where offered is null
     order by since limit $1 for update skip locked
"""
# Who searched last goes first; nobody has all of a portion while others wait.
_OF_SEARCHERS = """
    select u.account_id, u.content_id
      from (select account_id, last_on from searchers
             where last_on > current_date - $3::int) s
     cross join lateral (
        select account_id, content_id from unindexed
         where account_id = s.account_id and offered is null
         order by content_id desc limit $1 / 4 for update skip locked) u
     order by s.last_on desc limit $1
"""
_NOTE_SEARCHER = """
    insert into searchers (account_id) values ($1)
        on conflict (account_id) do update set last_on = current_date
     where searchers.last_on < current_date
"""


async def note_searcher(queries: Queries, account: int) -> None:
    """Texts of ``account`` are searched: have them indexed from now on."""
    await queries.execute(_NOTE_SEARCHER, account)


async def offer(
    queries: Queries, most: int, again_after: timedelta, *, searched_within: timedelta | None = None
) -> dict[int, list[int]]:
    """Return contents by account that are to be put on the queue now.

    ``searched_within``: only those of accounts that have searched as lately as that (whole days).
    """
    offered: dict[int, list[int]] = {}
    arguments: list[object] = [most, again_after]
    fresh = _OF_ALL
    if searched_within is not None:
        fresh, arguments = _OF_SEARCHERS, [*arguments, searched_within.days]
    for row in await queries.fetch(_OFFER.format(fresh=fresh), *arguments):
        offered.setdefault(row["account_id"], []).append(row["content_id"])
    return {account: sorted(contents) for account, contents in offered.items()}


_STILL = (
    "select content_id from unindexed where account_id = $1 and content_id = any ($2::bigint[])"
)


async def still_unindexed(queries: Queries, account: int, contents: Sequence[int]) -> list[int]:
    """Return those of ``contents`` that wait still: messages on the queue may come twice."""
    return [row["content_id"] for row in await queries.fetch(_STILL, account, contents)]


_KEEP = """
    update search set body_f = $3, grams = $4::int[] where account_id = $1 and content_id = $2
"""
_DONE = "delete from unindexed where account_id = $1 and content_id = any ($2::bigint[])"


async def keep(pool: Pool, account: int, made: Sequence[Indexed], contents: Sequence[int]) -> None:
    """Keep what was made of ``contents``; those that are gone meanwhile are only forgotten."""
    async with transaction(pool) as tx:
        if made:
            await add_headers(tx, account, [one.header for one in made])
            rows = [(account, one.header.content, clean(one.body), one.keys) for one in made]
            await tx.executemany(_KEEP, rows)
        await tx.execute(_DONE, account, contents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How far the indexer is behind.

    Attributes:
        waiting: Messages.
        all_contents: Those there are, by the server's estimate.
        lag: Seconds for which the first of them has waited.
    """

    waiting: int
    all_contents: int
    lag: float


_BACKLOG = """
    with mine as materialized (
        select u.since from unindexed u
         where $1::int is null or u.account_id in (
            select account_id from searchers where last_on > current_date - $1::int)
    )
    select count(*) as waiting,
           greatest((select reltuples from pg_class where oid = 'contents'::regclass), 0)::bigint as every,
           coalesce(extract(epoch from now() - min(since)), 0)::float8 as lag
      from mine
"""


async def backlog(queries: Queries, searched_within: timedelta | None = None) -> Backlog:
    """Return how far the indexer is behind with what it has to do; see `offer`."""
    days = None if searched_within is None else searched_within.days
    row = await queries.fetchrow(_BACKLOG, days)
    if row is None:
        return Backlog(waiting=0, all_contents=0, lag=0.0)
    return Backlog(waiting=row["waiting"], all_contents=row["every"], lag=row["lag"])
