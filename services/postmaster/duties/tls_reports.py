"""Reports on TLS to other domains: how our sessions with their servers went (RFC 8460)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from posthouse.mail.answers import Temporary
from posthouse.resolver import Resolver
from posthouse.storage.pool import Pool
from posthouse.storage.received_reports import TLS_RECEIVED
from posthouse.storage.report_days import Due, ReportDays
from posthouse.storage.sts_policies import forget_sts
from posthouse.storage.tls_results import TLS_DAYS, results_of
from postmaster.duties.daily_reports import NoAnswer, Place
from postmaster.reports.letter import Letterhead, Report
from postmaster.reports.tls import compose, places_in


@dataclass(frozen=True, slots=True)
class OnTls:
    """A `Kind`.

    Attributes:
        pool: Where results are.
        names: Says who wants reports.
    """

    pool: Pool
    names: Resolver
    name: str = "tls"
    days: ReportDays = TLS_DAYS
    must_be_signed: bool = True  # RFC 8460 §3

    async def places(self, domain: str) -> Sequence[Place]:
        """Return where ``domain`` wants its reports; raise `NoAnswer`."""
        answer = await self.names.txt(f"_smtp._tls.{domain}")
        if isinstance(answer, Temporary):
            raise NoAnswer(answer.why)
        wanted = places_in(getattr(answer, "records", ()))
        if wanted is None:
            return ()
        addresses = [Place(address=address) for address in wanted.addresses]
        return (*addresses, *(Place(url=url) for url in wanted.urls))

    async def report(self, head: Letterhead, due: Due) -> Report:
        """Return the report on ``due``; raise `Unavailable`."""
        results = await results_of(self.pool, due.day, due.domain)
        return compose(head, due.day, due.domain, results)

    async def forget(self, now: datetime | None = None) -> None:
        """Remove what nobody needs any more; raise `Unavailable`."""
        await self.days.forget(self.pool, (now or datetime.now(UTC)).date())
        await TLS_RECEIVED.forget(self.pool)
        await forget_sts(self.pool)
