"""The reader: reads bounces and complaints that came in, and links them to what was sent.

    incoming_reports ─▶ the octets ─▶ what they say ─▶ trace of the message, suppression list

Policy notes what comes to a return path of ours and sends it on; nothing waits for the reader. A
report is read in one transaction with all that follows from it, so it counts once. One that makes
us fail is tried again in later rounds, and left alone after some attempts; the others are read. It
was delivered like any other mail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from posthouse.authenticity.names import Names
from posthouse.blobs import Blobs
from posthouse.mail.address import BadAddress, parse_address
from posthouse.mail.errors import MissingObject, Unavailable
from posthouse.mail.ids import object_key
from posthouse.mail.return_path import ReturnPaths
from posthouse.mime.returned import ReturnedMail, read_returned
from posthouse.storage import incoming
from posthouse.storage.incoming import IncomingReport, Sent
from posthouse.storage.pool import Pool, Tx, transaction
from posthouse.storage.suppressing import (
    Refusal,
    Terms,
    note_complaint,
    note_hard_bounce,
    tidy_suppressions,
)
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger
from postmaster.duties.aggregates import take_aggregate
from postmaster.linking import Link, links, of_newest, sentence
from postmaster.signatures import signers_of

T = TypeVar("T")

# RFC 5965 §7.3; the others say of a mail that it is wanted, or speak of something else.
UNWANTED = frozenset({"abuse", "fraud", "opt-out", "opt-out-list"})
READ_OCTETS = 1_000_000  # of one report: status and header stand before what a mail holds
FAILURES_MAX = 100  # in one round; what waits behind them is read in the next
ON_LOOP_OCTETS = 64 * 1024  # a larger one is read beside the event loop

_read = metrics.counter(
    "posthouse_postmaster_reports_read_total",
    "Mails that came back and were read, by what they were and whether they speak of a mail of ours",
    "kind",
    "linked",
)
_suppressed = metrics.counter(
    "posthouse_postmaster_suppressed_total",
    "Recipients put on the suppression list by what came back",
    "reason",
)
_abandoned = metrics.gauge(
    "posthouse_postmaster_reports_abandoned", "Mails that came back and made the reader fail"
)

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads what came back.

    Attributes:
        pool: Where notes, ledger and list are.
        blobs: Where the octets are.
        paths: Reads the return path that a complaint shows.
        terms: When the house suppresses by itself.
        names: DNS, for signatures; None: none is checked.
    """

    pool: Pool
    blobs: Blobs
    paths: ReturnPaths
    terms: Terms
    names: Names | None = None

    async def read_all(self) -> int:
        """Read everything that waits; return how much.

        Raises:
            Unavailable: If PostgreSQL or the object store does not answer; the rest waits.
        """
        total, failed = 0, list[UUID]()
        while len(failed) < FAILURES_MAX and (
            report := await incoming.take_unread(self.pool, but=failed)
        ):
            try:
                await self._read(report)
            except Unavailable:
                await incoming.give_back(self.pool, report)
                raise
            except Exception:  # strangers wrote it: what a bug makes of it ends this one only
                log.exception("report not read", envelope=str(report.id))
                failed.append(report.id)
            else:
                total += 1
        return total

    async def tidy(self, keep: timedelta) -> None:
        """Forget what was read ``keep`` ago, and what stood on the list long enough."""
        forgotten = await incoming.forget_read(self.pool, keep)
        ended = await tidy_suppressions(self.pool, self.terms.lasts)
        _abandoned.set(await incoming.count_abandoned(self.pool))
        if forgotten or ended:
            log.info("reports forgotten", reports=forgotten, suppressions=ended)

    async def _read(self, report: IncomingReport) -> None:
        octets = await self._octets(report)
        if octets is not None and (
            taken := await take_aggregate(self.pool, self.names, report, octets)
        ):
            if taken.kind is not None:
                _read.labels(taken.kind, "yes" if taken.is_kept else "no").inc()
            return
        mail = None if octets is None else await _aside(read_returned, octets)
        is_believed = await self._is_believed(report, mail, octets)
        found: Sequence[Link] = ()
        async with transaction(self.pool) as tx:
            if mail is not None:
                report = self._named(report, mail)
                found = links(report, mail, await self._candidates(tx, report, mail))
                for link in found:
                    await self._act(tx, report.id, mail, link, is_believed=is_believed)
            subject = found[0].sent.id if found else report.subject
            await incoming.mark_read(tx, report, mail.kind if mail else "gone", subject)
        kind = mail.kind if mail else "gone"
        _read.labels(kind, "yes" if found else "no").inc()
        log.info("report read", envelope=str(report.id), kind=kind, subject=str(subject))

    async def _octets(self, report: IncomingReport) -> bytes | None:
        try:
            end = min(report.size, READ_OCTETS)
            return await self.blobs.get_range(object_key(report.id), 0, end)
        except MissingObject:
            return None

    async def _signers(self, report: IncomingReport, octets: bytes) -> tuple[str, ...]:
        """Return whose signatures hold; nobody's of a mail that was not read whole."""
        if self.names is None or report.size > len(octets):
            return ()
        return (await signers_of(self.names, octets)).domains

    async def _is_believed(
        self, report: IncomingReport, mail: ReturnedMail | None, octets: bytes | None
    ) -> bool:
        """True if a complaint shows our signed return path, or is signed itself (RFC 6650)."""
        if self.names is None or octets is None or mail is None or mail.kind != "complaint":
            return True
        if self._named(report, mail).subject is not None:
            return True
        return bool(await self._signers(report, octets))

    def _named(self, report: IncomingReport, mail: ReturnedMail) -> IncomingReport:
        """Return ``report`` with what the return path says that a complaint shows."""
        if report.subject is not None or not mail.return_path:
            return report
        try:
            address = parse_address(mail.return_path)
        except BadAddress:
            return report
        shown = self.paths.read(address, datetime.now(UTC).date())
        if shown is None:
            return report
        return IncomingReport(
            id=report.id,
            size=report.size,
            subject=shown.id,
            recipient=shown.n,
            address=shown.recipient,
        )

    async def _candidates(
        self, tx: Tx, report: IncomingReport, mail: ReturnedMail
    ) -> Sequence[Sent]:
        """Return to whom the message went that ``report`` speaks of; nobody if it is unknown."""
        if report.subject is not None:
            return await incoming.sent_of(tx, report.subject)
        if mail.kind == "complaint" and mail.message_id:
            return of_newest(await incoming.sent_as(tx, mail.message_id), mail)
        return ()

    async def _act(
        self, tx: Tx, report: UUID, mail: ReturnedMail, link: Link, *, is_believed: bool
    ) -> None:
        """Let the trace tell of it; suppress who is not there, or complained and is believed."""
        what, detail = sentence(mail, link, report)
        detail += "" if is_believed else "; not signed, so nobody is suppressed"
        await incoming.tell(tx, link.sent, what, detail)
        refusal = Refusal(
            sender=link.sent.sender, address=link.sent.address, source=link.sent.id, why=detail
        )
        unwanted = is_believed and mail.kind == "complaint" and mail.feedback in UNWANTED
        if unwanted and await note_complaint(tx, refusal, self.terms):
            _suppressed.labels("complaint").inc()
        hard = mail.kind == "bounce" and link.told.is_hard
        if hard and await note_hard_bounce(tx, refusal, self.terms):
            _suppressed.labels("bounces").inc()


async def _aside(work: Callable[[bytes], T], octets: bytes) -> T:
    """Do ``work`` on ``octets``; on many beside the event loop."""
    return work(octets) if len(octets) <= ON_LOOP_OCTETS else await asyncio.to_thread(work, octets)
