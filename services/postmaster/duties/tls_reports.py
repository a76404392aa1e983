"""The reporter on TLS: tells domains that ask for it how yesterday's sessions went (RFC 8460).

    days that are over ─▶ TXT _smtp._tls ─▶ nobody wants it: done
                                        ─▶ mail, entered with the note that it was; then HTTPS posts

A mail goes our usual way, through the ledger. A post that fails is tried again for a day; it may
come twice, and has the same id then.
"""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from posthouse.blobs import Blobs
from posthouse.mail.answers import Temporary
from posthouse.mail.ids import new_id
from posthouse.resolver import Resolver
from posthouse.runtime.web import Web, WebFailure
from posthouse.storage import ledger
from posthouse.storage.pool import Pool, transaction
from posthouse.storage.sts_policies import forget_sts
from posthouse.storage.tls_results import (
    Due,
    due_reports,
    forget_results,
    report_done,
    report_put_off,
    results_of,
)
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger
from postmaster.duties.mailing import Letter, Sign, stored_letter
from postmaster.tls_report import (
    MEDIA_TYPE,
    Letterhead,
    Places,
    TlsReport,
    compose,
    compose_mail,
    places_in,
)

BATCH = 100  # domains at a look
AT_ONCE = 10  # domains asked about at the same time
SPREAD = timedelta(hours=4)  # RFC 8460 §4.1: so that not all the world reports at midnight
FIRST_PAUSE = timedelta(minutes=15)  # after a failure; doubled by `report_put_off`

_reports = metrics.counter(
    "posthouse_postmaster_tls_reports_total", "Reports on TLS to other domains, by their end", "how"
)

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the reporter works with.

    Attributes:
        pool: Where results and the ledger are.
        blobs: Where its mails go.
        resolver: Says who wants reports.
        web: Posts them.
        head: Who reports.
        sign: Puts our signatures on the mail (RFC 8460 §3).
    """

    pool: Pool
    blobs: Blobs
    resolver: Resolver
    web: Web
    head: Letterhead
    sign: Sign


async def report_on_tls(desk: Desk, now: datetime | None = None) -> int:
    """Report on the days that are over, and forget what is old; return how many were looked at.

    Raises:
        Unavailable: PostgreSQL or the object store does not answer; the next round goes on.
    """
    moment = now or datetime.now(UTC)
    today = (moment - _offset(desk.head.host)).date()
    total, places = 0, asyncio.Semaphore(AT_ONCE)

    async def one(due: Due) -> None:
        async with places:
            await _report(desk, due)

    while found := await due_reports(desk.pool, today, BATCH):
        ends = await asyncio.gather(*map(one, found), return_exceptions=True)
        for failure in ends:
            if failure is not None:
                raise failure
        total += len(found)
    await forget_old(desk.pool, moment)
    return total


async def forget_old(pool: Pool, now: datetime | None = None) -> None:
    """Remove results and policies that nobody needs any more; `Unavailable`."""
    await forget_results(pool, (now or datetime.now(UTC)).date())
    await forget_sts(pool)


def _offset(host: str) -> timedelta:
    """Return how long after midnight we report; the same every day."""
    return timedelta(seconds=zlib.crc32(host.encode()) % int(SPREAD.total_seconds()))


async def _report(desk: Desk, due: Due) -> None:
    answer = await desk.resolver.txt(f"_smtp._tls.{due.domain}")
    if isinstance(answer, Temporary):
        await _put_off(desk, due, f"DNS gave no answer: {answer.why}")
        return
    places = places_in(getattr(answer, "records", ()))
    if places is None:
        await report_done(desk.pool, due.day, due.domain, "nobody asks for it")
        _reports.labels("unwanted").inc()
        return
    results = await results_of(desk.pool, due.day, due.domain)
    report = compose(desk.head, due.day, due.domain, results)
    if places.addresses and due.is_first:
        await _mail(desk, due, report, places)
    failures = [why for url in places.urls if (why := await _post(desk, url, report))]
    if failures:
        await _put_off(desk, due, "; ".join(failures))
        return
    how = ", ".join((*places.addresses, *places.urls))
    await report_done(desk.pool, due.day, due.domain, how)
    _reports.labels("sent").inc()
    log.info("TLS report sent", policy_domain=due.domain, day=str(due.day), to=how)


async def _put_off(desk: Desk, due: Due, why: str) -> None:
    _reports.labels("put_off").inc()
    log.info("TLS report put off", policy_domain=due.domain, day=str(due.day), why=why)
    await report_put_off(desk.pool, due.day, due.domain, why, FIRST_PAUSE)


async def _post(desk: Desk, url: str, report: TlsReport) -> str:
    """Post ``report`` (RFC 8460 §5.4); return why that failed, empty if it did not."""
    try:
        page = await desk.web.post(url, report.content, MEDIA_TYPE)
    except WebFailure as failure:
        return f"{url}: {failure}"
    return "" if page.status // 100 == 2 else f"{url} answered {page.status}"  # noqa: PLR2004 - 2xx


async def _mail(desk: Desk, due: Due, report: TlsReport, places: Places) -> None:
    """Enter the mail, and that it was: whatever happens, it goes once; the sweeper publishes it."""
    ident, to = new_id(), places.addresses
    message_id = f"<{ident}@{desk.head.host}>"
    octets = compose_mail(desk.head, report, to, message_id, datetime.now(UTC))
    letter = Letter(id=ident, sender=desk.head.address, to=to, message_id=message_id, octets=octets)
    mail = await stored_letter(desk.blobs, desk.sign, letter)
    async with transaction(desk.pool) as tx:
        await ledger.enter(tx, [mail])
        await report_put_off(tx, due.day, due.domain, "mailed", FIRST_PAUSE)
