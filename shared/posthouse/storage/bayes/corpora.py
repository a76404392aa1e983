"""Reading: how much was learned, and how often tokens were seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from posthouse.storage.pool import Queries, Row

SITE: Final = 0  # the owner of what counts for everybody

_OF = """
    select owner, coalesce(address, '') as address, spam, ham, tokens
      from bayes_corpora left join accounts on account_id = owner
"""
_BY_ADDRESS = f"""
    {_OF} where owner = any (array(
        select 0::bigint union all select account_id from accounts where address = any ($1)))
"""  # noqa: S608  constants only
_LIST = f"{_OF} where owner > $1 order by owner limit $2"
_ONE = f"{_OF} where owner = $1"
_COUNTS = """
    select token, spam, ham from bayes_tokens where owner = $1 and token = any ($2::bigint[])
"""
_ANY_READY = "select exists (select from bayes_corpora where least(spam, ham) >= $1)"
_SITE_READY = f"{_ANY_READY[:-1]} and owner = 0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """What somebody has learned.

    Attributes:
        owner: An account, or `SITE`.
        address: The account's; empty for the site.
        spam: Messages learned as spam.
        ham: Messages learned as wanted.
        tokens: Different tokens of them, when they were last counted.
    """

    owner: int
    address: str = ""
    spam: int = 0
    ham: int = 0
    tokens: int = 0


async def corpora_of(queries: Queries, addresses: Sequence[str]) -> dict[str, Corpus]:
    """Return the corpora of accounts by their addresses, and the site's by the empty one."""
    rows = await queries.fetch(_BY_ADDRESS, list(addresses))
    return {row["address"]: _corpus(row) for row in rows}


async def corpora(queries: Queries, after: int = -1, limit: int = 1000) -> tuple[Corpus, ...]:
    """Return up to ``limit`` corpora behind the owner ``after``; the site's is the first."""
    return tuple(map(_corpus, await queries.fetch(_LIST, after, limit)))


async def corpus_of(queries: Queries, owner: int) -> Corpus:
    """Return what ``owner`` has learned; an empty corpus if nothing."""
    row = await queries.fetchrow(_ONE, owner)
    return Corpus(owner=owner) if row is None else _corpus(row)


async def counts(queries: Queries, owner: int, tokens: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Return in how many messages of spam and of ham each of ``tokens`` was; strangers are left out."""
    rows = await queries.fetch(_COUNTS, owner, tokens)
    return {row["token"]: (row["spam"], row["ham"]) for row in rows}


async def is_any_ready(queries: Queries, least: int, *, with_accounts: bool) -> bool:
    """True if a corpus has ``least`` messages of each kind."""
    return bool(await queries.fetchval(_ANY_READY if with_accounts else _SITE_READY, least))


def _corpus(row: Row) -> Corpus:
    return Corpus(**dict(row))
