"""What became of our daily reports to others, of each kind alike."""

from __future__ import annotations

from datetime import date
from typing import Any

from posthouse.storage.report_days import ReportDays, SentReport
from postmaster.api.fields import page
from postmaster.api.parts import Means
from postmaster.api.problems import invalid


async def sent_page(
    means: Means, days: ReportDays, domain: str | None, after: str, limit: int
) -> dict[str, Any]:
    """Return a page of what was sent, by day and domain."""
    day, _, name = after.partition("|")
    found = await days.sent(means.pool, (day_of(day), name), limit, domain)
    return page(found, limit, _shown, lambda report: f"{report.day}|{report.domain}")


def day_of(text: str) -> date:
    """Return the day that a key of a listing begins with; without one the first; 422 if it is none."""
    try:
        return date.fromisoformat(text) if text else date.min
    except ValueError as wrong:
        raise invalid("after is no key of this listing.") from wrong


def _shown(report: SentReport) -> dict[str, Any]:
    return {"day": report.day, "domain": report.domain, "done": report.done, "how": report.how}
