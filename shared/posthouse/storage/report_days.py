"""Which days are to be reported on, to whom, and what became of it: each domain hears of each day once.

One `ReportDays` for each kind of reports. Days that are over go after `KEEP`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Queries, Tx

KEEP = timedelta(days=14)

# Days that are over, not reported on, or in vain a while ago.
_DUE = """
    select r.day, r.domain, d.mailed_at is not null as is_mailed
      from (select distinct day, domain from {results} where day < $1) as r
      left join {reports} as d using (day, domain)
     where d.day is null or (d.done_at is null and d.again_at <= now())
     order by r.day, r.domain limit $2
"""
# The row is locked until the transaction ends: of two pods one finds it mailed.
_CLAIM = """
    insert into {reports} as d (day, domain, first_at, again_at, mailed_at, how)
    values ($1, $2, now(), now(), now(), 'mailed')
        on conflict (day, domain) do update set mailed_at = now(), how = excluded.how
     where d.done_at is null and d.mailed_at is null
 returning true
"""
_DONE = """
    insert into {reports} (day, domain, first_at, done_at, how) values ($1, $2, now(), now(), $3)
        on conflict (day, domain) do update set done_at = now(), how = excluded.how
"""
# RFC 8460 §5.5: it is tried for a day, less and less often.
_PUT_OFF = """
    insert into {reports} as d (day, domain, first_at, again_at, how)
    values ($1, $2, now(), now() + $4::interval, $3)
        on conflict (day, domain) do update
       set how = excluded.how, again_at = now() + greatest($4::interval, now() - d.first_at),
           done_at = case when now() - d.first_at > interval '24 hours' then now() end
     where d.done_at is null
"""
_SENT = """
    select day, domain, done_at is not null as done, how from {reports}
     where (day, domain) > ($1, $2) and ($3::text is null or domain = $3)
     order by day, domain limit $4
"""
_FORGET_RESULTS = "delete from {results} where day < $1"
_FORGET_REPORTS = "delete from {reports} where day < $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A day that is over, with a domain that was not told of it.

    Attributes:
        day: In UTC.
        domain: Whom to tell.
        is_mailed: It was told by mail, only not yet in other ways.
    """

    day: date
    domain: str
    is_mailed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SentReport:
    """What became of the report to a domain on one day.

    Attributes:
        day: In UTC.
        domain: Whose.
        done: False: it is tried again.
        how: Where it went, or why not.
    """

    day: date
    domain: str
    done: bool
    how: str


class ReportDays:
    """The days of one kind of reports."""

    def __init__(self, results: str, reports: str) -> None:
        """Look for what was counted in the table ``results``, and keep account in ``reports``."""
        self._sql = {
            text: text.format(results=results, reports=reports)
            for text in (_DUE, _CLAIM, _DONE, _PUT_OFF, _SENT, _FORGET_RESULTS, _FORGET_REPORTS)
        }

    async def due(self, queries: Queries, today: date, limit: int) -> list[Due]:
        """Return what is to be reported on now, of days before ``today``."""
        return [Due(**dict(row)) for row in await queries.fetch(self._sql[_DUE], today, limit)]

    async def claim(self, tx: Tx, due: Due) -> bool:
        """Note that the mail on ``due`` is entered in this transaction; False if one was before."""
        return bool(await tx.fetchval(self._sql[_CLAIM], due.day, due.domain))

    async def done(self, queries: Queries, due: Due, how: str) -> None:
        """Note that there is nothing more to report, and why."""
        await queries.execute(self._sql[_DONE], due.day, due.domain, storable(how))

    async def put_off(self, queries: Queries, due: Due, why: str, pause: timedelta) -> None:
        """Note that a report did not get through; it is tried again for a day."""
        await queries.execute(self._sql[_PUT_OFF], due.day, due.domain, storable(why), pause)

    async def sent(
        self, queries: Queries, after: tuple[date, str], limit: int, domain: str | None = None
    ) -> tuple[SentReport, ...]:
        """Return what became of reports, by day and domain, behind ``after``."""
        rows = await queries.fetch(self._sql[_SENT], *after, domain, limit)
        return tuple(SentReport(**dict(row)) for row in rows)

    async def forget(self, queries: Queries, today: date) -> int:
        """Remove what is older than `KEEP`; return how many results."""
        await queries.execute(self._sql[_FORGET_REPORTS], today - KEEP)
        return await queries.execute(self._sql[_FORGET_RESULTS], today - KEEP)
