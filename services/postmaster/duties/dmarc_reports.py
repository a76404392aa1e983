"""Reports on DMARC to other domains: what became of mail that said it was theirs (RFC 7489 §7.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from posthouse.authenticity.dmarc.discovery import Unknown
from posthouse.authenticity.dmarc.places import report_places
from posthouse.authenticity.names import Names
from posthouse.storage.dmarc_results import DMARC_DAYS, dmarc_results_of
from posthouse.storage.pool import Pool
from posthouse.storage.received_reports import DMARC_RECEIVED
from posthouse.storage.report_days import Due, ReportDays
from postmaster.duties.daily_reports import NoAnswer, Place
from postmaster.reports.dmarc import compose
from postmaster.reports.letter import Letterhead, Report


@dataclass(frozen=True, slots=True)
class OnDmarc:
    """A `Kind`.

    Attributes:
        pool: Where results are.
        names: Says who wants reports, and who agreed to take them.
    """

    pool: Pool
    names: Names
    name: str = "dmarc"
    days: ReportDays = DMARC_DAYS
    must_be_signed: bool = False  # SPF may prove whose it is

    async def places(self, domain: str) -> Sequence[Place]:
        """Return where ``domain`` wants its reports; raise `NoAnswer`."""
        try:
            found = await report_places(self.names, domain)
        except Unknown as trouble:
            raise NoAnswer(str(trouble)) from trouble
        return [Place(address=each.address, max_octets=each.max_octets) for each in found]

    async def report(self, head: Letterhead, due: Due) -> Report:
        """Return the report on ``due``; raise `Unavailable`."""
        results = await dmarc_results_of(self.pool, due.day, due.domain)
        return await asyncio.to_thread(compose, head, due.day, due.domain, results)

    async def forget(self, now: datetime | None = None) -> None:
        """Remove what nobody needs any more; raise `Unavailable`."""
        await self.days.forget(self.pool, (now or datetime.now(UTC)).date())
        await DMARC_RECEIVED.forget(self.pool)
