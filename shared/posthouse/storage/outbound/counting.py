"""What accounts send, counted by hour: many at once, and what the last day comes to for each.

A day is the current hour and the 23 before it, so it begins anew at no moment that a thief could wait for.
"""

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
        insert into outbound_strangers as s (account, hash)
        select account, hash from unnest($5::text[], $6::bigint[]) as k (account, hash)
         order by account, hash
            on conflict (account, hash) do update set at = now()
         where s.at < now() - interval '24 hours'
        returning account
    ), failed as (
        delete from outbound_failures
         where id in (select id from outbound_failures order by id limit 1000 for update skip locked)
        returning account, failures, logins
    ), new as materialized (
        select account, sum(messages) as messages, sum(recipients) as recipients, sum(spam) as spam,
               sum(strangers) as strangers, sum(failures) as failures, sum(logins) as logins
          from (select account, messages, recipients, spam, 0 as strangers, 0 as failures,
                       0 as logins from told
                 union all select account, 0, 0, 0, 1, 0, 0 from strangers
                 union all select account, 0, 0, 0, 0, failures, logins from failed) as each
         group by account
    ), of_day as (
        insert into outbound_days as d (account, day, recipients)
        select account, current_date, recipients from new where recipients > 0 order by account
            on conflict (account, day) do update set recipients = d.recipients + excluded.recipients
    )
    insert into outbound_hours as h
           (account, hour, messages, recipients, spam, strangers, failures, logins)
    select account, date_trunc('hour', now()), messages, recipients, spam, strangers, failures, logins
      from new order by account
        on conflict (account, hour) do update
       set messages = h.messages + excluded.messages,
           recipients = h.recipients + excluded.recipients,
           spam = h.spam + excluded.spam,
           strangers = h.strangers + excluded.strangers,
           failures = h.failures + excluded.failures,
           logins = h.logins + excluded.logins
 returning account
"""
_STANDING = f"""
    select a.account, h.*,
           (select count(*) from outbound_networks n
             where n.account = a.account and n.at > now() - interval '1 hour')::int as networks,
           (select percentile_disc(0.5) within group (order by coalesce(d.recipients, 0))
              from generate_series(1, {HISTORY_DAYS}) as ago
              left join outbound_days d on d.account = a.account and d.day = current_date - ago)::int
           as usual
      from unnest($1::text[]) as a (account)
     cross join lateral (
        select coalesce(sum(messages), 0)::bigint as messages,
               coalesce(sum(recipients), 0)::bigint as recipients,
               coalesce(sum(strangers), 0)::bigint as strangers,
               coalesce(sum(failures), 0)::bigint as failures,
               coalesce(sum(spam), 0)::bigint as spam,
               coalesce(sum(logins), 0)::bigint as logins
          from outbound_hours h where h.account = a.account and h.hour > now() - interval '24 hours') h
"""  # noqa: S608 - a number of ours
_FORGET = (
    "delete from outbound_days where day < $1",
    "delete from outbound_hours where hour < now() - interval '25 hours'",
    "delete from outbound_strangers where at < now() - interval '24 hours'",
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
    """What one account has sent within a day: this hour, and the 23 before it.

    Attributes:
        account: Whose.
        messages: Messages.
        recipients: Recipients outside.
        strangers: Different ones of them.
        failures: Recipients that servers outside refused for good.
        spam: Messages that looked like spam.
        logins: Logins that failed, by SMTP, IMAP and POP3.
        networks: From how many networks it submitted, or logged in, within the last hour.
        usual: Recipients outside on a usual day: the median of the last `HISTORY_DAYS`.
    """

    account: str
    messages: int = 0
    recipients: int = 0
    strangers: int = 0
    failures: int = 0
    spam: int = 0
    logins: int = 0
    networks: int = 0
    usual: int = 0


async def add(pool: Pool, counts: Sequence[Count]) -> list[Today]:
    """Add ``counts``, and what others have seen; return how all these accounts stand now."""
    networks = [(each.account, network) for each in counts for network in each.networks]
    hashes = [(each.account, number) for each in counts for number in each.strangers]
    async with transaction(pool) as tx:
        if networks:
            await tx.execute(_SEEN, [one for one, _ in networks], [other for _, other in networks])
        rows = await tx.fetch(
            _ADD,
            [each.account for each in counts],
            [each.messages for each in counts],
            [each.recipients for each in counts],
            [each.spam for each in counts],
            [account for account, _ in hashes],
            [number for _, number in hashes],
        )
        accounts = [row["account"] for row in rows]
        standing = await tx.fetch(_STANDING, accounts) if accounts else ()
    return [Today(**dict(row)) for row in standing]


async def today(queries: Queries, account: str) -> Today:
    """Return how ``account`` stands."""
    [row] = await queries.fetch(_STANDING, [account])
    return Today(**dict(row))


async def forget(queries: Queries, now: date) -> None:
    """Remove what nobody looks at any more."""
    await queries.execute(_FORGET[0], now - timedelta(days=HISTORY_DAYS + 1))
    for each in _FORGET[1:]:
        await queries.execute(each)
