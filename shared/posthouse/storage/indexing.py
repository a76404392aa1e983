"""The indexer's rows: for whom it works, what waits for it, and what it made (`searching` looks at that).

An account with a mark in `searchers` is indexed: what comes is noted in `unindexed` by a trigger, what
was there before is looked through from the newest down (`below`). Turns go round among accounts that
have anything to do: each has one, and whoever works on it holds an advisory lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from posthouse.mime.indexed import HeaderText
from posthouse.storage.pool import Pool, Queries, Tx
from posthouse.storage.searching import HEADER_COLUMNS, clean, header_row

MARKS_AT_ONCE = 1000
LOOKED_AT_ONCE = 1000  # contents of one account that may be indexed already
COUNTED = 50_000  # more that waits is estimated

_NOTE_SEARCHER = """
    insert into searchers (account_id, unlooked)
    values ($1, (select coalesce(sum(exists_), 0) from mailboxes where account_id = $1))
        on conflict (account_id) do update set last_on = current_date
     where searchers.last_on < current_date
"""
_MARK_ALL = """
    insert into searchers (account_id, last_on, unlooked)
    select account_id, 'infinity',
           (select coalesce(sum(exists_), 0) from mailboxes m where m.account_id = a.account_id)
      from accounts a
     where (select true from searchers s where s.account_id = a.account_id) is null limit $1
        on conflict do nothing
"""
_UNMARK = """
    with old as (
        delete from searchers where account_id in (
            select account_id from searchers
             where last_on < current_date - $2::int or last_on = 'infinity' limit $1)
     returning account_id
    ), gone as (delete from unindexed where account_id in (select account_id from old))
    select count(*) from old
"""


async def note_searcher(queries: Queries, account: int) -> None:
    """Texts of ``account`` are searched: have them indexed from now on."""
    await queries.execute(_NOTE_SEARCHER, account)


async def keep_marks(pool: Pool, searched_within: timedelta | None) -> None:
    """Have all accounts indexed, or those alone that searched so lately (whole days)."""
    many: object = MARKS_AT_ONCE
    while many == MARKS_AT_ONCE:
        if searched_within is None:
            many = await pool.execute(_MARK_ALL, MARKS_AT_ONCE)
        else:
            many = await pool.fetchval(_UNMARK, MARKS_AT_ONCE, searched_within.days)


# From one account's first row to the next one's, whatever lies between.
_WAITING = """
    with recursive waiting (account_id, n) as (
        (select account_id, 1 from unindexed where account_id > $1 order by account_id limit 1)
      union all
        select (select u.account_id from unindexed u where u.account_id > w.account_id
                 order by u.account_id limit 1), w.n + 1
          from waiting w where w.account_id is not null and w.n < $2
    )
    select account_id from waiting where account_id is not null
"""
# Who searched last goes first. A row that came as its account's mark went is nobody's.
_GIVE = """
    with asked as materialized (select unnest($1::bigint[]) as account_id
    ), rested as materialized (
        select account_id from asked a
         where (select since from unindexed where account_id = a.account_id order by content_id desc limit 1) <= now() - $4::interval
            or (select since from unindexed where account_id = a.account_id order by content_id limit 1) <= now() - $5::interval
    ), nobodys as (
        delete from unindexed where account_id in (
            select account_id from asked a
             where (select true from searchers s where s.account_id = a.account_id) is null)
    ), behind as materialized (
        (select account_id from searchers where below > 0 and turn is null
          order by last_on desc limit $2)
        union all
        (select account_id from searchers where turn < now() - $3::interval order by turn limit $2)
    )
    update searchers s set turn = now()
     where account_id in (select account_id from rested union select account_id from behind)
       and (turn is null or turn < now() - $3::interval)
 returning account_id, turn
"""


async def waiting_accounts(queries: Queries, after: int, most: int) -> list[int]:
    """Return accounts above ``after`` of which new messages wait, ascending."""
    return [row["account_id"] for row in await queries.fetch(_WAITING, after, most)]


async def give_turns(
    queries: Queries, accounts: Sequence[int], most: int, again_after: timedelta, rest: timedelta
) -> tuple[list[int], datetime | None]:
    """Give a turn to each of ``accounts`` and some with older messages, if they have none; return whom and when.

    An account has none until nothing new has come for ``rest``, ten times that at most: what comes one by
    one is indexed together. A turn given as long ago as ``again_after`` counts as lost.
    """
    rows = await queries.fetch(_GIVE, accounts, most, again_after, rest, 10 * rest)
    return [row["account_id"] for row in rows], rows[0]["turn"] if rows else None


_TAKE_BACK = "update searchers set turn = null where account_id = any ($1::bigint[]) and turn = $2"


async def take_turns_back(queries: Queries, accounts: Sequence[int], turn: datetime) -> None:
    """Have these accounts looked at again: their turns came to nobody."""
    await queries.execute(_TAKE_BACK, accounts, turn)


_BEGIN = """
    select account_id, below,
           pg_try_advisory_xact_lock(hashtext('index'), hashint8(account_id)) as is_ours
      from searchers where account_id = any ($1::bigint[]) and turn = $2
"""
# A turn takes as long as its messages do; until it writes, it keeps nothing from being cleaned up.
_STAY = "select set_config('idle_in_transaction_session_timeout', '0', true)"


async def begin_turns(
    tx: Tx, accounts: Sequence[int], turn: datetime
) -> tuple[dict[int, int], list[int]]:
    """Take turns, until the transaction ends.

    Returns:
        What is ours, with the content below which was not looked yet; and what others work on now.
        Who is in neither has lost this turn.
    """
    await tx.fetchval(_STAY)
    rows = await tx.fetch(_BEGIN, accounts, turn)
    ours = {row["account_id"]: row["below"] for row in rows if row["is_ours"]}
    return ours, [row["account_id"] for row in rows if not row["is_ours"]]


_NEW = """
    select a.account_id, u.content_id from unnest($1::bigint[]) as a (account_id)
     cross join lateral (select content_id from unindexed where account_id = a.account_id
                          order by content_id desc limit $2) u
"""
_OLDER = """
    with looked as materialized (
        select content_id from contents where account_id = $1 and content_id < $2
         order by content_id desc limit $3)
    select l.content_id, s.grams is null as is_wanted
      from looked l left join search s on s.account_id = $1 and s.content_id = l.content_id
     order by l.content_id desc
"""


async def new_contents(
    queries: Queries, accounts: Sequence[int], most: int
) -> list[tuple[int, int]]:
    """Return account and content of what is new, of each account so many at most, newest first."""
    rows = await queries.fetch(_NEW, accounts, most)
    return [(row["account_id"], row["content_id"]) for row in rows]


async def older_contents(
    queries: Queries, account: int, below: int, most: int
) -> tuple[list[int], int, int]:
    """Look for contents that nobody has indexed.

    Returns:
        These, ``most`` at most; below which content to look next, 0 if there are no more; and at how
        many was looked.
    """
    rows = await queries.fetch(_OLDER, account, below, LOOKED_AT_ONCE)
    found: list[int] = []
    for at, row in enumerate(rows):
        if row["is_wanted"]:
            if len(found) == most:
                return found, rows[at - 1]["content_id"], at
            found.append(row["content_id"])
    return found, rows[-1]["content_id"] if len(rows) == LOOKED_AT_ONCE else 0, len(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What one message is found by.

    Attributes:
        account: Whose it is.
        header: Its header.
        body: The folded text of its parts.
        keys: Of its grams; None if it has too many.
    """

    account: int
    header: HeaderText
    body: str
    keys: Sequence[int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far an account is after a turn.

    Attributes:
        below: Contents below are still to be looked through.
        looked: At how many of these was looked now.
        has_more: It keeps its turn, which goes back on the queue.
    """

    below: int
    looked: int
    has_more: bool


_VALUES = ", ".join(f"${n}" for n in range(1, 21))
_KEEP = f"""
    insert into search (account_id, {HEADER_COLUMNS}, body_f, grams) values ({_VALUES})
        on conflict (account_id, content_id) do update
       set body_f = excluded.body_f, grams = excluded.grams, lacks_documents = false
"""  # noqa: S608  constants only
_DONE = """
    delete from unindexed where (account_id, content_id) in (select * from unnest($1::bigint[], $2::bigint[]))
"""
_END = """
    update searchers s
       set below = n.below, unlooked = case n.below when 0 then 0 else greatest(s.unlooked - n.looked, 0) end,
           turn = case when n.has_more then s.turn end
      from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[]) as n (account_id, below, looked, has_more)
     where s.account_id = n.account_id and s.turn = $5
"""


async def keep(tx: Queries, made: Sequence[Indexed], done: Sequence[tuple[int, int]]) -> None:
    """Keep what was made; ``done``, accounts and contents, waits no more."""
    if made:
        ordered = sorted(made, key=lambda one: (one.account, one.header.content))
        rows = ((o.account, *header_row(o.header), clean(o.body), o.keys) for o in ordered)
        await tx.executemany(_KEEP, rows)
    await tx.execute(_DONE, [account for account, _ in done], [content for _, content in done])


async def end_turns(tx: Queries, standings: Mapping[int, Standing], turn: datetime) -> None:
    """Note how far accounts are; those that are through give their turn back."""
    every = standings.values()
    await tx.execute(
        _END,
        list(standings),
        [one.below for one in every],
        [one.looked for one in every],
        [one.has_more for one in every],
        turn,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How far the indexer is behind.

    Attributes:
        waiting: Messages; above `COUNTED`, and of accounts whose older messages are looked through, about.
        all_contents: Those there are, by the server's estimate.
        lag: Seconds for which the first of them has waited.
    """

    waiting: int
    all_contents: int
    lag: float


_BACKLOG = """
    with counted as materialized (
        select count(*) as many from (select from unindexed limit $1) few
    ), older as materialized (
        select coalesce(sum(unlooked), 0)::bigint as many, min(since) as since from searchers where below > 0
    )
    select older.many + case when counted.many < $1 then counted.many
                             else greatest($1, (select reltuples from pg_class
                                                 where oid = 'unindexed'::regclass))::bigint end as waiting,
           greatest((select reltuples from pg_class where oid = 'contents'::regclass), 0)::bigint as every,
           coalesce(extract(epoch from now() - least(older.since, (select min(since) from unindexed))), 0)::float8
             as lag
      from counted, older
"""


async def backlog(queries: Queries) -> Backlog:
    """Return how far the indexer is behind with what it has to do."""
    row = await queries.fetchrow(_BACKLOG, COUNTED)
    if row is None:
        return Backlog(waiting=0, all_contents=0, lag=0.0)
    return Backlog(waiting=row["waiting"], all_contents=row["every"], lag=row["lag"])
