"""Wishes: messages of mailboxes that shall be learned; one row for each, until it is learned.

A wish is taken and learned in one transaction, so it counts once. It is counted as tried before:
a message that makes us fail does so `TRIES` times and not for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from posthouse.storage.pool import Pool, Queries, Tx

MOST = 100_000  # wishes that wait; what comes then is not learned
MOST_AT_ONCE = 1000  # messages of one command
TRIES = 3

_HAS_ROOM = f"(select count(*) from (select from bayes_wishes limit {MOST}) each) < {MOST}"  # noqa: S608
_WISH = f"""
    insert into bayes_wishes (owner, account_id, content_id, is_spam)
    select owner, $2, content_id, $5 from unnest($1::bigint[]) as o (owner), (
        select distinct content_id from messages
         where account_id = $2 and mailbox_id = $3 and uid = any ($4::bigint[])) m
     where {_HAS_ROOM}
        on conflict (owner, account_id, content_id) do update set is_spam = excluded.is_spam, tries = 0
"""  # noqa: S608  constants only
_WISH_FOLDER = f"""
    insert into bayes_wishes (owner, account_id, content_id, is_spam)
    select $1, $2, content_id, $4 from (
        select distinct content_id from messages
         where account_id = $2 and mailbox_id = $3 limit {MOST}) m
     where {_HAS_ROOM}
        on conflict (owner, account_id, content_id) do update set is_spam = excluded.is_spam, tries = 0
"""  # noqa: S608  constants only
_TRY = """
    update bayes_wishes set tries = tries + 1 where (owner, account_id, content_id) in (
        select owner, account_id, content_id from bayes_wishes where tries < $2
         order by wished limit $1 for update skip locked)
    returning owner, account_id, content_id, is_spam
"""
_OBJECTS = """
    select w.owner, w.account_id, w.content_id, c.object_id, w.is_spam
      from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[])
           as w (owner, account_id, content_id, is_spam)
      left join contents c on c.account_id = w.account_id and c.content_id = w.content_id
"""
_AGAIN = """
    update bayes_wishes w set tries = greatest(tries - 1, 0)
      from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as d (owner, account_id, content_id)
     where w.owner = d.owner and w.account_id = d.account_id and w.content_id = d.content_id
"""
# Who has changed his mind meanwhile is heard again.
_DONE = """
    delete from bayes_wishes w
     using unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[])
           as d (owner, account_id, content_id, is_spam)
     where w.owner = d.owner and w.account_id = d.account_id and w.content_id = d.content_id
       and w.is_spam = d.is_spam
"""
_GIVE_UP = "delete from bayes_wishes where tries >= $1 and wished < now() - interval '1 day'"
_WAITING = "select count(*) from bayes_wishes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A message that shall be learned.

    Attributes:
        owner: Whose corpus.
        account: Whose mailbox it is in.
        content: Which contents.
        is_spam: As what.
        object_id: Its object; None if it is gone.
    """

    owner: int
    account: int
    content: int
    is_spam: bool
    object_id: UUID | None


async def wish_messages(
    queries: Queries,
    owners: Sequence[int],
    box: tuple[int, int],
    uids: Sequence[int],
    *,
    is_spam: bool,
) -> int:
    """Wish that messages of a mailbox (its account and its id) be learned; return how many wishes."""
    return await queries.execute(_WISH, list(owners), *box, list(uids[:MOST_AT_ONCE]), is_spam)


async def wish_folder(queries: Queries, owner: int, box: tuple[int, int], *, is_spam: bool) -> int:
    """Wish that all messages of a mailbox be learned for ``owner``; return how many wishes."""
    return await queries.execute(_WISH_FOLDER, owner, *box, is_spam)


async def take_wishes(pool: Pool, many: int) -> list[Wish]:
    """Return the oldest wishes, counted as tried."""
    rows = await pool.fetch(_TRY, many, TRIES)
    if not rows:
        return []
    columns = [[row[n] for row in rows] for n in range(4)]
    return [
        Wish(
            owner=row["owner"],
            account=row["account_id"],
            content=row["content_id"],
            is_spam=row["is_spam"],
            object_id=row["object_id"],
        )
        for row in await pool.fetch(_OBJECTS, *columns)
    ]


async def put_back(queries: Queries, wishes: Sequence[Wish]) -> None:
    """Take back that wishes were tried: an outage is not their fault."""
    await queries.execute(
        _AGAIN,
        [wish.owner for wish in wishes],
        [wish.account for wish in wishes],
        [wish.content for wish in wishes],
    )


async def end_wishes(tx: Tx, wishes: Sequence[Wish]) -> None:
    """Remove wishes that are fulfilled; belongs in the transaction that learns."""
    await tx.execute(
        _DONE,
        [wish.owner for wish in wishes],
        [wish.account for wish in wishes],
        [wish.content for wish in wishes],
        [wish.is_spam for wish in wishes],
    )


async def tidy_wishes(pool: Pool) -> int:
    """Give up what made us fail again and again; return how many."""
    return await pool.execute(_GIVE_UP, TRIES)


async def waiting(queries: Queries) -> int:
    """Return how many wishes wait."""
    count = await queries.fetchval(_WAITING)
    return count if isinstance(count, int) else 0
