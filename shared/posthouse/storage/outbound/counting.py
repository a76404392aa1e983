"""What accounts send, counted by day: many at once, and what it comes to for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from posthouse.storage.pool import Pool, Queries, transaction

HISTORY_DAYS = 14  # what an account usually sends is the median of these

# Rows in the order of their keys, as by everybody: two pods never wait for each other.
_SEEN = """
    insert into outbound_networks (account, network)
    select * from unnest($1::text[], $2::text[]) order by 1, 2
        on conflict (account, network) do update set at = now()
"""
# A failure is taken by one pod, and counted in the same transaction.
_ADD = """
    with told as materialized (
        select * from unnest($1::text[], $2::int[], $3::int[], $4::int[])
                   as t (account, messages, recipients, spam)
    ), strangers as (
        insert into outbound_strangers (account, day, hash)
        select account, current_date, hash from unnest($5::text[], $6::bigint[]) as s (account, hash)
         order by account, hash
            on conflict do nothing
        returning account
    ), failed as (
        delete from outbound_failures
         where id in (select id from outbound_failures order by id limit 1000 for update skip locked)
        returning account
    ), new as materialized (
        select account, sum(messages) as messages, sum(recipients) as recipients, sum(spam) as spam,
               sum(strangers) as strangers, sum(failures) as failures
          from (select account, messages, recipients, spam, 0 as strangers, 0 as failures from told
                 union all select account, 0, 0, 0, 1, 0 from strangers
                 union all select account, 0, 0, 0, 0, 1 from failed) as each
         group by account
    ), summed as (
        insert into outbound_days as d
               (account, day, messages, recipients, spam, strangers, failures)
        select account, current_date, messages, recipients, spam, strangers, failures
          from new order by account
            on conflict (account, day) do update
           set messages = d.messages + excluded.messages,
               recipients = d.recipients + excluded.recipients,
               spam = d.spam + excluded.spam,
               strangers = d.strangers + excluded.strangers,
               failures = d.failures + excluded.failures
        returning d.*
    )
    select {columns} from summed s
"""
_COLUMNS = f"""
    s.account, s.messages, s.recipients, s.strangers, s.failures, s.spam,
    (select count(*) from outbound_networks n
      where n.account = s.account and n.at > now() - interval '1 hour')::int as networks,
    (select percentile_disc(0.5) within group (order by coalesce(d.recipients, 0))
       from generate_series(1, {HISTORY_DAYS}) as ago
       left join outbound_days d on d.account = s.account and d.day = s.day - ago)::int as usual
"""  # noqa: S608 - a number of ours
_SUM = _ADD.format(columns=_COLUMNS)
_STANDING = f"""
    select {_COLUMNS} from (
        select a.account, current_date as day, coalesce(d.messages, 0) as messages,
               coalesce(d.recipients, 0) as recipients, coalesce(d.strangers, 0) as strangers,
               coalesce(d.failures, 0) as failures, coalesce(d.spam, 0) as spam
          from (select $1::text as account) as a
          left join outbound_days d on d.account = a.account and d.day = current_date) as s
"""  # noqa: S608 - columns are ours
_FORGET = (
    "delete from outbound_days where day < $1",
    "delete from outbound_strangers where day < current_date",
    "delete from outbound_networks where at < now() - interval '1 hour'",
)


@dataclass(slots=True, kw_only=True)
class Count:
    """What one account has sent since it was counted last; grows.

    Attributes:
        account: Whose, in lower case.
        messages: Messages.
        recipients: Recipients outside.
        spam: Messages that looked like spam.
        strangers: Hashes of the recipients' addresses.
        networks: Where it was submitted from.
    """

    account: str
    messages: int = 0
    recipients: int = 0
    spam: int = 0
    strangers: set[int]
    networks: set[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """What one account has sent today (UTC).

    Attributes:
        account: Whose.
        messages: Messages.
        recipients: Recipients outside.
        strangers: Different ones of them.
        failures: Recipients that servers outside refused for good.
        spam: Messages that looked like spam.
        networks: How many networks it submitted from within the last hour.
        usual: Recipients outside on a usual day: the median of the last `HISTORY_DAYS`.
    """

    account: str
    messages: int = 0
    recipients: int = 0
    strangers: int = 0
    failures: int = 0
    spam: int = 0
    networks: int = 0
    usual: int = 0


async def add(pool: Pool, counts: Sequence[Count]) -> list[Today]:
    """Add ``counts``, and failures that lie ready; return how all these accounts stand now."""
    networks = [(each.account, network) for each in counts for network in each.networks]
    hashes = [(each.account, number) for each in counts for number in each.strangers]
    async with transaction(pool) as tx:
        if networks:
            await tx.execute(_SEEN, [one for one, _ in networks], [other for _, other in networks])
        rows = await tx.fetch(
            _SUM,
            [each.account for each in counts],
            [each.messages for each in counts],
            [each.recipients for each in counts],
            [each.spam for each in counts],
            [account for account, _ in hashes],
            [number for _, number in hashes],
        )
    return [Today(**dict(row)) for row in rows]


async def today(queries: Queries, account: str) -> Today:
    """Return how ``account`` stands."""
    [row] = await queries.fetch(_STANDING, account)
    return Today(**dict(row))


async def forget(queries: Queries, now: date) -> None:
    """Remove what nobody looks at any more."""
    await queries.execute(_FORGET[0], now - timedelta(days=HISTORY_DAYS + 1))
    for each in _FORGET[1:]:
        await queries.execute(each)
