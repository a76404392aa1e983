"""The reporter on DMARC: tells domains that ask for it what became of yesterday's mail (RFC 7489 §7.2).

    days that are over ─▶ rua= in DNS, and who agreed to it ─▶ nobody: done
                                                           ─▶ mail, entered with the note that it was

Report and note are one transaction: whatever happens, each domain hears of each day once.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from posthouse.authenticity.dmarc.discovery import Unknown
from posthouse.authenticity.dmarc.places import ReportPlace, report_places
from posthouse.authenticity.names import Names
from posthouse.blobs import Blobs
from posthouse.mail.ids import new_id
from posthouse.storage import ledger
from posthouse.storage.dmarc_received import forget_received
from posthouse.storage.dmarc_results import (
    Due,
    claim_dmarc_report,
    dmarc_report_done,
    dmarc_report_put_off,
    dmarc_results_of,
    due_dmarc_reports,
    forget_dmarc_results,
)
from posthouse.storage.pool import Pool, transaction
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger
from postmaster.dmarc_report import DmarcReport, compose, compose_mail
from postmaster.duties.mailing import Letter, Sign, stored_letter
from postmaster.tls_report import Letterhead

BATCH = 100  # domains at a look
AT_ONCE = 10  # domains asked about at the same time
MAX_OCTETS = 10 * 2**20  # of one report, packed
KEEP_RECEIVED = timedelta(days=400)  # a year, to compare with
SPREAD = timedelta(hours=4)  # so that not all the world reports at midnight
FIRST_PAUSE = timedelta(minutes=15)  # after a failure; grows, for a day

_reports = metrics.counter(
    "posthouse_postmaster_dmarc_reports_total", "Reports on DMARC to other domains, by end", "how"
)
log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class DmarcDesk:
    """What the reporter works with.

    Attributes:
        pool: Where results and the ledger are.
        blobs: Where its mails go.
        names: Says who wants reports.
        head: Who reports.
        sign: Puts our signatures on the mail.
    """

    pool: Pool
    blobs: Blobs
    names: Names
    head: Letterhead
    sign: Sign


async def report_on_dmarc(desk: DmarcDesk, now: datetime | None = None) -> int:
    """Report on the days that are over, and forget what is old; return how many were looked at.

    Raises:
        Unavailable: PostgreSQL or the object store does not answer; the next round goes on.
    """
    moment = now or datetime.now(UTC)
    offset = timedelta(seconds=zlib.crc32(desk.head.host.encode()) % int(SPREAD.total_seconds()))
    total, places = 0, asyncio.Semaphore(AT_ONCE)

    async def one(due: Due) -> None:
        async with places:
            await _report(desk, due)

    while found := await due_dmarc_reports(desk.pool, (moment - offset).date(), BATCH):
        ends = await asyncio.gather(*map(one, found), return_exceptions=True)
        for failure in ends:
            if failure is not None:
                raise failure
        total += len(found)
    await forget_old_results(desk.pool, moment)
    return total


async def forget_old_results(pool: Pool, now: datetime | None = None) -> None:
    """Remove results that nobody needs any more; `Unavailable`."""
    await forget_dmarc_results(pool, now or datetime.now(UTC))
    await forget_received(pool, KEEP_RECEIVED)


async def _report(desk: DmarcDesk, due: Due) -> None:
    try:
        places = await report_places(desk.names, due.domain)
    except Unknown as trouble:
        why = f"DNS gave no answer: {trouble}"
        _reports.labels("put_off").inc()
        log.info("DMARC report put off", policy_domain=due.domain, day=str(due.day), why=why)
        await dmarc_report_put_off(desk.pool, due, why, FIRST_PAUSE)
        return
    results = await dmarc_results_of(desk.pool, due.day, due.domain)
    report = await asyncio.to_thread(partial(compose, desk.head, due.day, due.domain, results))
    to = _fitting(places, report)
    how = ", ".join(to) or ("too large for those who ask" if places else "nobody asks for it")
    if await _enter(desk, due, report, to, how):
        _reports.labels("sent" if to else "unwanted").inc()
        log.info("DMARC report done", policy_domain=due.domain, day=str(due.day), to=how)


def _fitting(places: Sequence[ReportPlace], report: DmarcReport) -> tuple[str, ...]:
    """Return the addresses that take a report so large (§6.2); none beyond what mail can carry."""
    size = len(report.content)
    return tuple(
        dict.fromkeys(
            place.address
            for place in places
            if size <= min(place.max_octets or MAX_OCTETS, MAX_OCTETS)
        )
    )


async def _enter(
    desk: DmarcDesk, due: Due, report: DmarcReport, to: tuple[str, ...], how: str
) -> bool:
    """Enter the mail, and that there is nothing more to do; False if somebody else did."""
    ident = new_id()
    message_id = f"<{ident}@{desk.head.host}>"
    mails = []
    if to:
        octets = compose_mail(desk.head, report, to, message_id, datetime.now(UTC))
        sender = desk.head.address
        letter = Letter(id=ident, sender=sender, to=to, message_id=message_id, octets=octets)
        mails = [await stored_letter(desk.blobs, desk.sign, letter)]
    async with transaction(desk.pool) as tx:
        if not await claim_dmarc_report(tx, due):
            return False
        if mails:
            await ledger.enter(tx, mails)
        await dmarc_report_done(tx, due, how)
    return True
