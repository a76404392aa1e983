"""How sessions with servers outside went, by UTC day and policy domain (RFC 8460 §4.3, §4.4).

Bounded: of one domain and day at most `MAX_ROWS` kinds of failure are told apart, what comes on top
is counted without its host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeAlias

from posthouse.mail.tls_words import PolicyType
from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Queries, Row
from posthouse.storage.report_days import ReportDays

Key: TypeAlias = tuple[date, str, str, str, str, str, str]

MAX_ROWS = 100
MAX_LINES = 120  # of a policy
MAX_CHARACTERS = 300  # of a reason
TLS_DAYS = ReportDays("tls_results", "tls_reports")

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

    @property
    def count(self) -> int:
        """How many sessions."""
        return self.sessions

    def joined(self, earlier: Result) -> Result:
        """Return both as one, with the later reason."""
        return replace(self, sessions=self.sessions + earlier.sessions)


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


def _row(result: Result) -> tuple[object, ...]:
    why = storable(result.why[:MAX_CHARACTERS])
    policy = storable("\n".join(result.policy[:MAX_LINES]))
    return (*result.key, why, policy, result.sessions)


def _result(row: Row) -> Result:
    return Result(**{**dict(row), "policy": tuple(filter(None, row["policy"].split("\n")))})
