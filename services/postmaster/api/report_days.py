"""Daily reports, of each kind alike: what became of ours to others, and what others report to us."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from posthouse.mail.idn import a_labels
from posthouse.storage.received_reports import KEEP, ReceivedReport, ReceivedReports
from posthouse.storage.report_days import ReportDays, SentReport
from postmaster.api.fields import Body, DomainName, PageSize, page
from postmaster.api.parts import Means
from postmaster.api.problems import invalid

_BEGINNING = UUID(int=0)
NO_KEY = "after is no key of this listing."


class ReceivedQuery(Body):
    """Which reports of others are listed: on a domain, of the last days, with a row for each source."""

    domain: DomainName | None = None
    days: Annotated[int, Field(ge=1, le=KEEP.days)] | None = None
    after: str = ""
    limit: PageSize = 100
    rows: bool = False


async def sent_page(
    means: Means, days: ReportDays, domain: str | None, after: str, limit: int
) -> dict[str, Any]:
    """Return a page of what was sent, by day and domain."""
    day, _, name = after.partition("|")
    found = await days.sent(means.pool, (day_of(day), name), limit, domain)
    return page(found, limit, _shown, lambda report: f"{report.day}|{report.domain}")


async def received_page(
    means: Means,
    reports: ReceivedReports,
    asked: ReceivedQuery,
    show: Callable[[ReceivedReport], dict[str, Any]],
) -> dict[str, Any]:
    """Return a page of what others report, by the mail that brought it and the domain."""
    message, _, name = asked.after.partition("|")
    since = datetime.now(UTC) - timedelta(days=asked.days) if asked.days else None
    try:
        after = (UUID(message) if message else _BEGINNING, name)
    except ValueError as wrong:
        raise invalid(NO_KEY) from wrong
    found = await reports.listed(
        means.pool,
        after,
        asked.limit,
        domain=a_labels(asked.domain) if asked.domain else None,
        since=since,
        with_rows=asked.rows,
    )
    return page(
        found,
        asked.limit,
        lambda report: _received(report) | show(report),
        lambda report: f"{report.message}|{report.domain}",
    )


def _received(report: ReceivedReport) -> dict[str, Any]:
    return {
        "message": report.message,
        "came": report.came_at,
        "organization": report.organization,
        "report_id": report.report_id,
        "domain": report.domain,
        "begins": report.begins,
        "ends": report.ends,
        "signed_by": report.signed_by,
        "passed": report.passed,
        "failed": report.total - report.passed,
        "rows": list(report.rows),
    }


def day_of(text: str) -> date:
    """Return the day that a key of a listing begins with; without one the first; 422 if it is none."""
    try:
        return date.fromisoformat(text) if text else date.min
    except ValueError as wrong:
        raise invalid(NO_KEY) from wrong


def _shown(report: SentReport) -> dict[str, Any]:
    return {"day": report.day, "domain": report.domain, "done": report.done, "how": report.how}
