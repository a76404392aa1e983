"""What DMARC made of mail from outside, by UTC day and policy domain (RFC 7489 §7.2), and reports on it.

Bounded: of one domain and day at most `MAX_ROWS` rows are told apart, what comes on top is not
counted; days that are over go after `KEEP`, reports of others with their messages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import msgspec

from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Queries, Row, Tx

Key: TypeAlias = tuple[date, str, UUID]

MAX_ROWS = 10_000
KEEP = timedelta(days=14)

_ADD = """
    insert into dmarc_results as r (day, domain, key, facts, messages)
    select t.* from unnest($1::date[], $2::text[], $3::uuid[], $4::text[], $5::bigint[])
                    as t (day, domain, key, facts, messages)
     where (select count(*) from dmarc_results as n where n.day = t.day and n.domain = t.domain) < $6
        or exists (select from dmarc_results as n
                    where n.day = t.day and n.domain = t.domain and n.key = t.key)
     order by day, domain, key
        on conflict (day, domain, key) do update set messages = r.messages + excluded.messages
"""
_LIST = """
    select day, domain, key, facts, messages from dmarc_results
     where (day, domain, key) > ($1, $2, $3) and ($4::text is null or domain = $4)
       and ($5::date is null or day = $5)
     order by day, domain, key limit $6
"""
_OF = """
    select day, domain, key, facts, messages from dmarc_results where day = $1 and domain = $2
     order by messages desc, key
"""
_FORGET_RESULTS = "delete from dmarc_results where day < $1"
_FORGET_REPORTS = "delete from dmarc_reports where day < $1"
_DUE = """
    select r.day, r.domain from (select distinct day, domain from dmarc_results where day < $1) as r
      left join dmarc_reports as d using (day, domain)
     where d.day is null or (d.done_at is null and d.again_at <= now())
     order by r.day, r.domain limit $2
"""
# The row is locked before a report is entered: of two pods one finds it done.
_CLAIM = """
    insert into dmarc_reports (day, domain, first_at, again_at, how) values ($1, $2, now(), now(), '')
        on conflict (day, domain) do update set how = dmarc_reports.how
 returning done_at is null as free
"""
_DONE = "update dmarc_reports set done_at = now(), how = $3 where day = $1 and domain = $2"
_PUT_OFF = """
    insert into dmarc_reports as d (day, domain, first_at, again_at, how)
    values ($1, $2, now(), now() + $4::interval, $3)
        on conflict (day, domain) do update
       set how = excluded.how, again_at = now() + greatest($4::interval, now() - d.first_at),
           done_at = case when now() - d.first_at > interval '24 hours' then now() end
     where d.done_at is null
"""
_REPORTS = """
    select day, domain, done_at is not null as done, how from dmarc_reports
     where (day, domain) > ($1, $2) and ($3::text is null or domain = $3)
     order by day, domain limit $4
"""


class Signed(msgspec.Struct, frozen=True, array_like=True):
    """What became of one DKIM signature.

    Attributes:
        domain: d=.
        selector: s=.
        result: See RFC 8601 §2.7.1.
    """

    domain: str
    selector: str
    result: str


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is counted together.

    Attributes:
        published: The policy, as tags: ``p=reject; sp=none; adkim=r; aspf=r; pct=100``.
        source: The client's address.
        author: The domain of From.
        sender: The domain of the reverse path; empty for the null path.
        disposition: What was done, as far as DMARC is the reason.
        dkim: An aligned signature passed.
        spf: SPF passed, and is aligned.
        reason: Why something else was done than the policy says: a type of RFC 7489 appendix C.
        comment: More of it.
        spf_domain: Whom SPF was asked about,
        spf_scope: because of what: ``mfrom`` or ``helo``,
        spf_result: and what it said.
        signatures: All of them.
    """

    published: str
    source: str
    author: str
    sender: str = ""
    disposition: str = "none"
    dkim: bool = False
    spf: bool = False
    reason: str = ""
    comment: str = ""
    spf_domain: str = ""
    spf_scope: str = "mfrom"
    spf_result: str = "none"
    signatures: tuple[Signed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DmarcResult:
    """Messages of one day that fared the same way.

    Attributes:
        day: In UTC.
        domain: Whose policy it is.
        facts: How they fared.
        messages: How many.
    """

    day: date
    domain: str
    facts: Facts
    messages: int = 1

    @property
    def key(self) -> Key:
        """What is counted together."""
        return (self.day, self.domain, key_of(self.facts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A day that is over, with a domain that was not told of it."""

    day: date
    domain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SentReport:
    """What became of the report to a domain on one day.

    Attributes:
        day: Of the messages.
        domain: Whose.
        done: False: it is tried again.
        how: Where it went, or why not.
    """

    day: date
    domain: str
    done: bool
    how: str


def key_of(facts: Facts) -> UUID:
    """Return what tells ``facts`` from others."""
    return UUID(bytes=hashlib.sha256(msgspec.json.encode(facts)).digest()[:16])


async def add_dmarc_results(queries: Queries, results: Sequence[DmarcResult]) -> None:
    """Add ``results`` to what all pods have counted."""
    if not results:
        return
    rows = [
        (*each.key, storable(msgspec.json.encode(each.facts).decode()), each.messages)
        for each in sorted(results, key=lambda each: each.key)
    ]
    await queries.execute(_ADD, *zip(*rows, strict=True), MAX_ROWS)


async def list_dmarc_results(
    queries: Queries, after: Key, limit: int, domain: str | None = None, day: date | None = None
) -> tuple[DmarcResult, ...]:
    """Return results behind ``after``."""
    return tuple(map(_result, await queries.fetch(_LIST, *after, domain, day, limit)))


async def dmarc_results_of(queries: Queries, day: date, domain: str) -> tuple[DmarcResult, ...]:
    """Return the results of one day with one domain, the most frequent first."""
    return tuple(map(_result, await queries.fetch(_OF, day, domain)))


async def due_dmarc_reports(queries: Queries, today: date, limit: int) -> list[Due]:
    """Return what is to be reported on now, of days before ``today``."""
    return [Due(**dict(row)) for row in await queries.fetch(_DUE, today, limit)]


async def claim_dmarc_report(tx: Tx, due: Due) -> bool:
    """Lock the report on ``due`` until the transaction ends; False if it went already."""
    return bool(await tx.fetchval(_CLAIM, due.day, due.domain))


async def dmarc_report_done(tx: Tx, due: Due, how: str) -> None:
    """Note that there is nothing more to report, and why."""
    await tx.execute(_DONE, due.day, due.domain, storable(how))


async def dmarc_report_put_off(queries: Queries, due: Due, why: str, pause: timedelta) -> None:
    """Note that a report cannot go now; it is tried again for a day."""
    await queries.execute(_PUT_OFF, due.day, due.domain, storable(why), pause)


async def sent_dmarc_reports(
    queries: Queries, after: tuple[date, str], limit: int, domain: str | None = None
) -> tuple[SentReport, ...]:
    """Return what became of reports, by day and domain, behind ``after``."""
    rows = await queries.fetch(_REPORTS, *after, domain, limit)
    return tuple(SentReport(**dict(row)) for row in rows)


async def forget_dmarc_results(queries: Queries, now: datetime) -> int:
    """Remove what is older than `KEEP`; return how many results."""
    await queries.execute(_FORGET_REPORTS, now.date() - KEEP)
    return await queries.execute(_FORGET_RESULTS, now.date() - KEEP)


def _result(row: Row) -> DmarcResult:
    return DmarcResult(
        day=row["day"],
        domain=row["domain"],
        facts=msgspec.json.decode(row["facts"], type=Facts),
        messages=row["messages"],
    )
