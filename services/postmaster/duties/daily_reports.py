"""The reporter: tells domains that ask for it of yesterday, each of each day once.

    days that are over ─▶ DNS: who wants it ─▶ nobody: done
                                            ─▶ mail, entered with the note that it was; then HTTPS posts

What is told, and to whom, is a `Kind`; all else is the same for all kinds. A mail goes our usual
way, through the ledger. A post that fails is tried again for a day; it may come twice, and has the
same id then.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeAlias

from posthouse.blobs import Blobs
from posthouse.mail.ids import new_id
from posthouse.runtime.web import Web, WebFailure
from posthouse.storage import ledger
from posthouse.storage.pool import Pool, transaction
from posthouse.storage.report_days import Due, ReportDays
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger
from postmaster.duties.mailing import Letter, stored_letter
from postmaster.reports.letter import Letterhead, Report, compose_mail, encoded_octets

Sign: TypeAlias = Callable[[bytes, str], Awaitable[bytes]]

BATCH = 100  # domains at a look
AT_ONCE = 10  # domains asked about at the same time
MAX_OCTETS = 10 * 2**20  # of one report, packed and encoded
SPREAD = timedelta(hours=4)  # RFC 8460 §4.1: so that not all the world reports at midnight
FIRST_PAUSE = timedelta(minutes=15)  # after a failure; grows, for a day

_reports = metrics.counter(
    "posthouse_postmaster_daily_reports_total",
    "Daily reports to other domains, by what they tell of and their end",
    "kind",
    "how",
)
log = get_logger()


class NoAnswer(Exception):
    """DNS could not tell; the text says why."""


class Unsigned(Exception):
    """The mail would have to be signed to count; the text says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a domain wants its reports.

    Attributes:
        address: Of mail, or
        url: to be posted to.
        max_octets: What it takes; None: anything.
    """

    address: str = ""
    url: str = ""
    max_octets: int | None = None

    def takes(self, report: Report) -> bool:
        """True if ``report`` is not too large, as it is sent (RFC 7489 §7.2.1): for it, and for mail."""
        octets = encoded_octets(report) if self.address else len(report.content)
        return octets <= min(MAX_OCTETS if self.max_octets is None else self.max_octets, MAX_OCTETS)

    def __str__(self) -> str:
        """As people know it."""
        return self.address or self.url


class Kind(Protocol):
    """What is told of."""

    @property
    def name(self) -> str:
        """In logs and metrics: ``dmarc``, ``tls``."""

    @property
    def days(self) -> ReportDays:
        """What is due."""

    @property
    def must_be_signed(self) -> bool:
        """Mail without our signature would not count."""

    async def places(self, domain: str) -> Sequence[Place]:
        """Return where ``domain`` wants its reports; raise `NoAnswer`."""

    async def report(self, head: Letterhead, due: Due) -> Report:
        """Return the report on ``due``; raise `Unavailable`."""

    async def forget(self, now: datetime | None = None) -> None:
        """Remove what nobody needs any more; raise `Unavailable`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the reporter works with.

    Attributes:
        pool: Where results and the ledger are.
        blobs: Where its mails go.
        web: Posts them.
        kind: What it tells of.
        head: Who reports.
        sign: Puts our signatures on the mail (RFC 8460 §3).
    """

    pool: Pool
    blobs: Blobs
    web: Web
    kind: Kind
    head: Letterhead
    sign: Sign


async def report_on_days(desk: Desk, now: datetime | None = None) -> int:
    """Report on the days that are over, and forget what is old; return how many were looked at.

    Raises:
        Unavailable: PostgreSQL or the object store does not answer; the next round goes on.
    """
    moment = now or datetime.now(UTC)
    offset = timedelta(seconds=zlib.crc32(desk.head.host.encode()) % int(SPREAD.total_seconds()))
    total, seats = 0, asyncio.Semaphore(AT_ONCE)

    async def one(due: Due) -> None:
        async with seats:
            await _report(desk, due)

    while found := await desk.kind.days.due(desk.pool, (moment - offset).date(), BATCH):
        ends = await asyncio.gather(*map(one, found), return_exceptions=True)
        for failure in ends:
            if failure is not None:
                raise failure
        total += len(found)
    await desk.kind.forget(moment)
    return total


async def _report(desk: Desk, due: Due) -> None:
    try:
        places = await desk.kind.places(due.domain)
    except NoAnswer as trouble:
        await _put_off(desk, due, f"DNS gave no answer: {trouble}")
        return
    if not places:
        await _end(desk, due, "unwanted", "nobody asks for it")
        return
    report = await desk.kind.report(desk.head, due)
    fitting = [place for place in places if place.takes(report)]
    to = tuple(dict.fromkeys(place.address for place in fitting if place.address))
    urls = [place.url for place in fitting if place.url]
    try:
        if to and not due.is_mailed and not await _mail(desk, due, report, to, is_all=not urls):
            return  # somebody else did, and goes on
    except Unsigned as missing:
        log.warning("report cannot go as mail", kind=desk.kind.name, why=str(missing))
        if not urls:
            await _put_off(desk, due, str(missing))
            return
        fitting = [place for place in fitting if place.url]
    if failures := "; ".join(filter(None, [await _post(desk, url, report) for url in urls])):
        await _put_off(desk, due, failures)
        return
    how = ", ".join(dict.fromkeys(map(str, fitting))) or "too large for those who ask"
    await _end(desk, due, "sent" if fitting else "unwanted", how)


async def _end(desk: Desk, due: Due, end: str, how: str) -> None:
    await desk.kind.days.done(desk.pool, due, how)
    _reports.labels(desk.kind.name, end).inc()
    log.info(
        "report done", kind=desk.kind.name, policy_domain=due.domain, day=str(due.day), how=how
    )


async def _put_off(desk: Desk, due: Due, why: str) -> None:
    _reports.labels(desk.kind.name, "put_off").inc()
    log.info(
        "report put off", kind=desk.kind.name, policy_domain=due.domain, day=str(due.day), why=why
    )
    await desk.kind.days.put_off(desk.pool, due, why, FIRST_PAUSE)


async def _post(desk: Desk, url: str, report: Report) -> str:
    """Post ``report`` (RFC 8460 §5.4); return why that failed, empty if it did not."""
    try:
        page = await desk.web.post(url, report.content, report.form.media_type)
    except WebFailure as failure:
        return f"{url}: {failure}"
    return "" if page.status // 100 == 2 else f"{url} answered {page.status}"  # noqa: PLR2004 - 2xx


async def _mail(desk: Desk, due: Due, report: Report, to: tuple[str, ...], *, is_all: bool) -> bool:
    """Enter the mail, and that it was (and is all), in one; False if somebody else did.

    Raises `Unsigned`, `Unavailable`.
    """
    ident = new_id()
    message_id = f"<{ident}@{desk.head.host}>"
    now = datetime.now(UTC)
    octets = await asyncio.to_thread(compose_mail, desk.head, report, to, message_id, now)
    domain = desk.head.address.rpartition("@")[2]
    signed = await desk.sign(octets, domain)
    if desk.kind.must_be_signed and signed == octets:
        raise Unsigned(f"{domain} has no DKIM key that signs, and unsigned reports are ignored")
    letter = Letter(id=ident, sender=desk.head.address, to=to, message_id=message_id, octets=signed)
    mail = await stored_letter(desk.blobs, letter)
    async with transaction(desk.pool) as tx:
        if not await desk.kind.days.claim(tx, due):
            return False
        await ledger.enter(tx, [mail])
        if is_all:
            await desk.kind.days.done(tx, due, ", ".join(to))
    return True
