"""Who talks to which site outside: processes tell each other, all their sites in one statement.

Moments are told as seconds from now by the clock of PostgreSQL, so clocks of pods need not agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Queries

COUNTED = timedelta(seconds=10)  # who has told of a site counts as its user for so long

# Each process writes rows of its own alone, so nobody waits for anybody.
_EXCHANGE = """
    with told as (
        select * from unnest($2::text[], $3::float8[], $4::text[]) as told (site, paused, trouble)
    ), kept as (
        insert into site_uses (site, pod, used_until, paused_until, trouble)
        select site, $1, now() + $5::interval, now() + make_interval(secs => paused), trouble
          from told
            on conflict (site, pod) do update
           set used_until = excluded.used_until, paused_until = excluded.paused_until,
               trouble = excluded.trouble
    )
    select site,
           count(*) filter (where u.used_until > now()) as users,
           greatest(0, extract(epoch from max(u.paused_until) - now()))::float8 as paused,
           (array_agg(u.trouble order by u.paused_until desc))[1] as trouble
      from told join site_uses u using (site)
     where u.pod <> $1 and greatest(u.used_until, u.paused_until) > now()
     group by site
"""
_FORGET = """
    delete from site_uses where ctid = any (array(
        select ctid from site_uses
         where greatest(used_until, paused_until) < now() limit $1 for update skip locked))
"""


@dataclass(frozen=True, slots=True)
class Use:
    """What one process tells of a site.

    Attributes:
        site: Its name.
        paused: Seconds until anybody may talk to it; 0 for now.
        trouble: What it said.
    """

    site: str
    paused: float
    trouble: str


@dataclass(frozen=True, slots=True)
class Others:
    """What the other processes say of a site.

    Attributes:
        users: How many of them talk to it.
        paused: Seconds until anybody may; 0 for now.
        trouble: What it said.
    """

    users: int
    paused: float
    trouble: str


async def exchange_uses(queries: Queries, pod: str, uses: Sequence[Use]) -> dict[str, Others]:
    """Tell what ``pod`` knows of sites, and return what others say of the same ones."""
    rows = await queries.fetch(
        _EXCHANGE,
        pod,
        [use.site for use in uses],
        [use.paused for use in uses],
        [storable(use.trouble) for use in uses],
        COUNTED,
    )
    return {row["site"]: Others(row["users"], row["paused"], row["trouble"]) for row in rows}


async def forget_uses(queries: Queries, most: int) -> int:
    """Remove what is over, at most ``most``; return how many."""
    return await queries.execute(_FORGET, most)
