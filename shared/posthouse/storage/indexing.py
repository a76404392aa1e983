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
        select account_id, content_id from unindexed where offered is null
         order by since limit $1 for update skip locked
    ), forgotten as materialized (
        select account_id, content_id from unindexed where offered < now() - $2::interval
         order by offered limit $1 for update skip locked
    ), due as (select * from fresh union all select * from forgotten)
    update unindexed u set offered = now() from due
     where u.account_id = due.account_id and u.content_id = due.content_id
 returning u.account_id, u.content_id
"""


async def offer(queries: Queries, most: int, again_after: timedelta) -> dict[int, list[int]]:
    """Return contents by account that are to be put on the queue now."""
    offered: dict[int, list[int]] = {}
    for row in await queries.fetch(_OFFER, most, again_after):
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
    select (select count(*) from unindexed) as waiting,
           greatest((select reltuples from pg_class where oid = 'contents'::regclass), 0)::bigint as every,
           coalesce(extract(epoch from now() - least(
               (select since from unindexed where offered is null order by since limit 1),
               (select min(since) from (select since from unindexed where offered is not null
                                         order by offered limit 1000) o))), 0)::float8 as lag
"""


async def backlog(queries: Queries) -> Backlog:
    """Return how far the indexer is behind."""
    row = await queries.fetchrow(_BACKLOG)
    if row is None:
        return Backlog(waiting=0, all_contents=0, lag=0.0)
    return Backlog(waiting=row["waiting"], all_contents=row["every"], lag=row["lag"])
