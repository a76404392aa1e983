"""How sessions with servers outside went, by UTC day and policy domain (RFC 8460 §4.3, §4.4).

Bounded: of one domain and day at most `MAX_ROWS` kinds of failure are told apart, what comes on top
is counted without its host; days that are over go after `KEEP`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeAlias

from posthouse.mail.tls_words import PolicyType
from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Queries, Row, Tx

Key: TypeAlias = tuple[date, str, str, str, str, str, str]

MAX_ROWS = 100
KEEP = timedelta(days=14)
MAX_LINES = 120  # of a policy
MAX_CHARACTERS = 300  # of a reason

# Rows are locked in the order of their keys, as by every pod.
_ADD = """
    with told as (
        select * from unnest($1::date[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                             $7::text[], $8::text[], $9::text[], $10::bigint[])
                   as t (day, domain, kind, failure, host, address, source, why, policy, sessions)
    ), full_up as (
        select day, domain from tls_results
         where (day, domain) in (select day, domain from told)
         group by day, domain having count(*) >= $11
    ), bounded as (
        select day, domain, kind, failure, case when f then '' else host end as host,
               case when f then '' else address end as address,
               case when f then '' else source end as source, max(why) as why,
               max(policy) as policy, sum(sessions) as sessions
          from (select told.*, failure <> '' and full_up.day is not null as f
                  from told left join full_up using (day, domain)) as t
         group by 1, 2, 3, 4, 5, 6, 7
    )
    insert into tls_results (day, domain, kind, failure, host, address, source, why, policy, sessions)
    select * from bounded order by day, domain, kind, failure, host, address, source
        on conflict (day, domain, kind, failure, host, address, source) do update
       set sessions = tls_results.sessions + excluded.sessions, why = excluded.why,
           policy = excluded.policy
"""
_COLUMNS = "day, domain, kind, failure, host, address, source, why, policy, sessions"
_LIST = f"""
    select {_COLUMNS} from tls_results
     where (day, domain, kind, failure, host, address, source) > ($1, $2, $3, $4, $5, $6, $7)
       and ($8::text is null or domain = $8) and ($9::date is null or day = $9)
       and (failure <> '' or not $10)
     order by day, domain, kind, failure, host, address, source limit $11
"""  # noqa: S608 - our own constant
_OF = f"""
    select {_COLUMNS} from tls_results where day = $1 and domain = $2
     order by kind, failure, host, address, source
"""  # noqa: S608 - our own constant
_FORGET_RESULTS = "delete from tls_results where day < $1"
_FORGET_REPORTS = "delete from tls_reports where day < $1"
# Days that are over, not reported on, or in vain a while ago.
_DUE = """
    select r.day, r.domain, d.day is null as is_first from (select distinct day, domain from tls_results where day < $1) as r
      left join tls_reports as d using (day, domain)
     where d.day is null
        or (d.done_at is null and d.again_at <= now())
     order by r.day, r.domain limit $2
"""
_DONE = """
    insert into tls_reports (day, domain, first_at, done_at, how) values ($1, $2, now(), now(), $3)
        on conflict (day, domain) do update set done_at = now(), how = excluded.how
"""
# RFC 8460 §5.5: it is tried for a day, less and less often.
_PUT_OFF = """
    insert into tls_reports as d (day, domain, first_at, again_at, how)
    values ($1, $2, now(), now() + $4::interval, $3)
        on conflict (day, domain) do update
       set how = excluded.how,
           again_at = now() + greatest($4::interval, (now() - d.first_at)),
           done_at = case when now() - d.first_at > interval '24 hours' then now() end
"""
_REPORTS = """
    select day, domain, done_at is not null as done, how from tls_reports
     where (day, domain) > ($1, $2) and ($3::text is null or domain = $3)
     order by day, domain limit $4
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Sessions of one day that went the same way.

    Attributes:
        day: In UTC.
        domain: The policy domain.
        kind: What it publishes.
        failure: How they failed (RFC 8460 §4.3); empty: they did not.
        host: Of failures: the server,
        address: and where it was,
        source: and from which address of ours it was reached; empty if that is not known.
        why: Of failures: the reason, of the last one.
        policy: What was published, line by line, ``mx:`` before each pattern of MTA-STS.
        sessions: How many.
    """

    day: date
    domain: str
    kind: PolicyType
    failure: str = ""
    host: str = ""
    address: str = ""
    source: str = ""
    why: str = ""
    policy: tuple[str, ...] = ()
    sessions: int = 1

    @property
    def key(self) -> Key:
        """What is counted together."""
        where = (self.host, self.address, self.source)
        return (self.day, self.domain, self.kind, self.failure, *where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A day that is over, with a domain that was not told of it.

    Attributes:
        day: In UTC.
        domain: Whom to tell.
        is_first: It was not tried before.
    """

    day: date
    domain: str
    is_first: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of the report to a domain on one day.

    Attributes:
        day: Of the sessions.
        domain: Whose.
        done: False: it is tried again.
        how: Where it went, or why not.
    """

    day: date
    domain: str
    done: bool
    how: str


async def add_results(queries: Queries, results: Sequence[Result]) -> None:
    """Add ``results`` to what all pods have counted."""
    rows = [_row(result) for result in results]
    if rows:
        await queries.execute(_ADD, *zip(*rows, strict=True), MAX_ROWS)


async def list_results(
    queries: Queries,
    after: Key,
    limit: int,
    wanted: Mapping[str, object],
) -> tuple[Result, ...]:
    """Return results behind ``after``; ``wanted`` may hold ``domain``, ``day``, ``failures``."""
    rows = await queries.fetch(
        _LIST, *after, wanted.get("domain"), wanted.get("day"), bool(wanted.get("failures")), limit
    )
    return tuple(map(_result, rows))


async def results_of(queries: Queries, day: date, domain: str) -> tuple[Result, ...]:
    """Return the results of one day with one domain."""
    return tuple(map(_result, await queries.fetch(_OF, day, domain)))


async def due_reports(queries: Queries, today: date, limit: int) -> list[Due]:
    """Return what is to be reported on now, of days before ``today``."""
    return [Due(**dict(row)) for row in await queries.fetch(_DUE, today, limit)]


async def report_done(queries: Queries | Tx, day: date, domain: str, how: str) -> None:
    """Note that there is nothing more to report, and why."""
    await queries.execute(_DONE, day, domain, storable(how))


async def report_put_off(
    queries: Queries, day: date, domain: str, why: str, pause: timedelta
) -> None:
    """Note that a report did not get through; it is tried again for a day."""
    await queries.execute(_PUT_OFF, day, domain, storable(why), pause)


async def reports(
    queries: Queries, after: tuple[date, str], limit: int, *, domain: str | None = None
) -> tuple[Report, ...]:
    """Return what became of reports, by day and domain, behind ``after``."""
    rows = await queries.fetch(_REPORTS, *after, domain, limit)
    return tuple(Report(**dict(row)) for row in rows)


async def forget_results(queries: Queries, today: date) -> int:
    """Remove what is older than `KEEP`; return how many results."""
    await queries.execute(_FORGET_REPORTS, today - KEEP)
    return await queries.execute(_FORGET_RESULTS, today - KEEP)


def _row(result: Result) -> tuple[object, ...]:
    why = storable(result.why[:MAX_CHARACTERS])
    policy = storable("\n".join(result.policy[:MAX_LINES]))
    return (*result.key, why, policy, result.sessions)


def _result(row: Row) -> Result:
    return Result(**{**dict(row), "policy": tuple(filter(None, row["policy"].split("\n")))})
