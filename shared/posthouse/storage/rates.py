"""Rates that all pods share: one row per bucket, which says when it will be empty.

Pods tell what they have taken and hear what all have taken, all of it in one statement and by the
clock of PostgreSQL alone. The table is unlogged, so that no flush waits for it: after a crash of
PostgreSQL everybody's buckets are empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from posthouse.mail.rates import OVERFLOW, Key, Told
from posthouse.storage.pool import Queries, Row

_WIDEST_V4, _WIDEST_V6 = 8, 32  # bits of the widest networks that are counted as one client

# Rows are locked in the order of their keys, as by everybody: two pods never wait for each other.
# $6: periods at most until a bucket is empty.
_EXCHANGE = """
    with told as (
        select * from unnest($1::text[], $2::text[], $3::bigint[], $4::float8[], $5::float8[])
                   as told (who, what, most, pace, seconds)
    ), summed as (
        insert into rates (who, what, most, pace, empty_at)
        select who, what, most, pace, now() + make_interval(secs => seconds)
          from told where seconds > 0 order by who, what
            on conflict (who, what) do update
           set most = excluded.most, pace = excluded.pace,
               empty_at = least(
                   greatest(rates.empty_at, now()) + (excluded.empty_at - now()),
                   now() + make_interval(secs => $6 * excluded.most * excluded.pace))
        returning who, what, empty_at
    )
    select who, what, extract(epoch from empty_at - now())::float8 as seconds from summed
     union all
    select who, what, extract(epoch from empty_at - now())::float8
      from told join rates using (who, what) where seconds = 0
"""
# Who is locked by an exchange is in use. Without an order nobody waits here for anybody.
_FORGET = """
    delete from rates where ctid = any (array(
        select ctid from rates where empty_at < now() limit $1 for update skip locked))
"""
_LIST = """
    select who, what, most, pace, extract(epoch from empty_at - now())::float8 as seconds
      from rates
     where (who, what) > ($1, $2) and empty_at > now() and ($3::text[] is null or who = any($3))
     order by who, what limit $4
"""
_RESET = "delete from rates where who = any($1)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One bucket, as all pods together have filled it.

    Attributes:
        who: A network or an account.
        what: What is counted.
        count: How many are in it now.
        most: So many are let through at once.
        seconds: Until it is empty.
    """

    who: str
    what: str
    count: float
    most: int
    seconds: float

    @property
    def is_full(self) -> bool:
        """True if the next one is refused."""
        return self.count > self.most - 0.5


async def exchange(queries: Queries, told: Sequence[Told]) -> dict[Key, float]:
    """Add what was taken; return seconds until each bucket is empty, of those that are not."""
    rows = await queries.fetch(
        _EXCHANGE,
        [each.key[0] for each in told],
        [each.key[1] for each in told],
        [each.rate.most for each in told],
        [each.rate.pace for each in told],
        [each.seconds for each in told],
        float(OVERFLOW),
    )
    return {(row["who"], row["what"]): row["seconds"] for row in rows}


async def forget_empty(queries: Queries, most: int) -> int:
    """Remove buckets that are empty, at most ``most``; return how many."""
    return await queries.execute(_FORGET, most)


async def standings(
    queries: Queries, after: Key, limit: int, *, who: str | None = None
) -> tuple[Standing, ...]:
    """Return the buckets behind ``after`` that are not empty, in order; of everybody, or ``who``.

    Args:
        queries: The database.
        after: The last one seen; two empty texts to begin.
        limit: At most so many.
        who: An account, or an address or a network of a client.
    """
    names = None if who is None else names_of(who)
    rows = await queries.fetch(_LIST, *after, names, limit)
    return tuple(map(_standing, rows))


async def reset(queries: Queries, who: str) -> int:
    """Empty all buckets of ``who``; return how many there were.

    A pod that puts it off hears of it with the exchange behind its next attempt.
    """
    return await queries.execute(_RESET, names_of(who))


def names_of(who: str) -> list[str]:
    """Return under which names ``who`` may be counted: an address also under its networks."""
    try:
        address = ip_address(who)
    except ValueError:
        return [who.lower()]
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    widest = _WIDEST_V4 if isinstance(address, IPv4Address) else _WIDEST_V6
    lengths = range(widest, address.max_prefixlen)
    return [str(address), *(str(ip_network((address, n), strict=False)) for n in lengths)]


def _standing(row: Row) -> Standing:
    seconds = row["seconds"]
    return Standing(
        who=row["who"],
        what=row["what"],
        count=seconds / row["pace"],
        most=row["most"],
        seconds=seconds,
    )
