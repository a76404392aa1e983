"""Forgetting: rare tokens that nobody has met for long, what is too much, whose account is gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from posthouse.storage.bayes.corpora import SITE, corpora
from posthouse.storage.pool import Pool, Tx, transaction

BITE = 5000  # rows per statement
RARE = 2  # messages that a token was in
KEPT_OF_TOO_MANY = 0.75  # else the next message would be too much again

_ORPHANS = """
    select owner from bayes_corpora c
     where owner <> 0 and not exists (select from accounts where account_id = c.owner) limit 100
"""
_OLD = """
    delete from bayes_tokens where owner = $1 and token = any (array(
        select token from bayes_tokens
         where owner = $1 and spam + ham <= $2 and seen < current_date - $3::interval limit $4))
"""
_COUNT = "select count(*) from bayes_tokens where owner = $1"
_TRIM = """
    delete from bayes_tokens where owner = $1 and token = any (array(
        select token from bayes_tokens where owner = $1 order by spam + ham > $2, seen limit $3))
"""
_TRIM_LESSONS = """
    delete from bayes_lessons where owner = $1 and digest = any (array(
        select digest from bayes_lessons where owner = $1 order by learned desc offset $2 limit $3))
"""
_NOTE = "update bayes_corpora set tokens = $2 where owner = $1 and tokens <> $2"
_FORGET_TOKENS = """
    delete from bayes_tokens where owner = $1 and token = any (array(
        select token from bayes_tokens where owner = $1 limit $2))
"""
_FORGET_LESSONS = """
    delete from bayes_lessons where owner = $1 and digest = any (array(
        select digest from bayes_lessons where owner = $1 limit $2))
"""
_FORGET_WISHES = "delete from bayes_wishes where owner = $1"
_FORGET_CORPUS = "delete from bayes_corpora where owner = $1"
_LOCK = "select from bayes_corpora where owner = $1 for update"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is kept.

    Attributes:
        site_tokens: Of the house.
        account_tokens: Of one account.
        lessons: Messages of one owner of which it is known that they were learned.
        rare_lasts: A token of at most `RARE` messages that was not learned for so long goes.
    """

    site_tokens: int
    account_tokens: int
    lessons: int
    rare_lasts: timedelta


async def tidy_corpora(pool: Pool, bounds: Bounds) -> int:
    """Forget what is old or too much; return how many tokens went."""
    for row in await pool.fetch(_ORPHANS):
        await forget(pool, row["owner"])
    gone, after = 0, -1
    while found := await corpora(pool, after, 100):
        for corpus in found:
            gone += await _tidy(pool, corpus.owner, bounds)
        after = found[-1].owner
    return gone


async def forget(queries: Pool | Tx, owner: int) -> None:
    """Forget all that ``owner`` has learned."""
    async with transaction(queries) as tx:
        await tx.execute(_LOCK, owner)
        await tx.execute(_FORGET_WISHES, owner)
        while await tx.execute(_FORGET_TOKENS, owner, BITE):
            continue
        while await tx.execute(_FORGET_LESSONS, owner, BITE):
            continue
        await tx.execute(_FORGET_CORPUS, owner)


async def _tidy(pool: Pool, owner: int, bounds: Bounds) -> int:
    most = bounds.site_tokens if owner == SITE else bounds.account_tokens
    total = 0
    while gone := await pool.execute(_OLD, owner, RARE, bounds.rare_lasts, BITE):
        total += gone
    count = await _count(pool, owner)
    keep = int(most * KEPT_OF_TOO_MANY) if count > most else most
    while count > keep:
        gone = await pool.execute(_TRIM, owner, RARE, min(BITE, count - keep))
        total, count = total + gone, count - gone if gone else keep
    while await pool.execute(_TRIM_LESSONS, owner, bounds.lessons, BITE):
        continue
    await pool.execute(_NOTE, owner, await _count(pool, owner))
    return total


async def _count(pool: Pool, owner: int) -> int:
    count = await pool.fetchval(_COUNT, owner)
    return count if isinstance(count, int) else 0
