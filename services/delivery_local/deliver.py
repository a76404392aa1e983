"""Delivery: envelopes from ``mail.local`` into mailboxes, many in one transaction.

    summary (from the envelope, or the object) ─▶ filing, one commit ─▶ notices to the gateways
                                                        │ not filed
                                                        ▼
                                       `settlement` ─▶ ledger, bounce, wait queue

Whatever ends half way is delivered again by the broker: what was committed is found settled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from delivery_local.settlement import decide, unknown
from posthouse import mime
from posthouse.blobs import Blobs
from posthouse.bus.consumer import Ack, Bury, Move, Wait
from posthouse.mail.envelope import Envelope, Local, LocalRecipient, MailboxChanged, Summary
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.report import Fate
from posthouse.mail.status import OK
from posthouse.mail.timetable import Timetable
from posthouse.runtime.bounces import Reporter, endings, prepare_report
from posthouse.runtime.settlement import Decision
from posthouse.storage import ledger
from posthouse.storage.filing import Filed, Filing, Refused, Result, file
from posthouse.storage.junk import junk_mailboxes
from posthouse.storage.ledger import NewMail
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter, histogram

SCANNED_INLINE_OCTETS = 1_000_000  # a larger message is scanned beside the event loop

log = get_logger()
_results = counter(
    "posthouse_local_recipients_total", "Recipients by what became of them.", "result"
)
_scanned = counter("posthouse_local_objects_read_total", "Messages that came without a summary.")
_batch = histogram(
    "posthouse_local_batch_recipients",
    "Recipients in one transaction.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
_commit = histogram("posthouse_local_filing_seconds", "Time for one transaction.")
_age = histogram(
    "posthouse_local_age_seconds",
    "From acceptance to the mailbox.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600),
)


class Notices(Protocol):
    """What delivery needs of the publisher."""

    async def notify(self, changes: Sequence[MailboxChanged]) -> None:
        """Tell the gateways; never fails."""


class Outbox(Protocol):
    """What delivery needs of the roads."""

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Publish soon; never fails and never waits for a broker."""


class Notes(Protocol):
    """What delivery needs of the trace."""

    def note(
        self, envelope_id: UUID, what: str, *, recipient: int | None = None, detail: str = ""
    ) -> None:
        """Write down what the ledger's rows do not tell; never blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The handler of the road.

    Attributes:
        pool: Where mailboxes and ledger are.
        reporter: Tells senders; its object store is also where messages are read.
        timetable: How long a full mailbox is waited for.
        bounce_timetable: The same for mail with the null sender.
        notices: To the gateways.
        outbox: For reports to senders.
        notes: The trace.
        now: The clock.
    """

    pool: Pool
    reporter: Reporter
    timetable: Timetable
    bounce_timetable: Timetable
    notices: Notices
    outbox: Outbox
    notes: Notes
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def deliver(self, envelopes: Sequence[Local]) -> list[Move]:
        """Deliver ``envelopes``, return one move for each.

        Raises:
            Unavailable: Nothing is certain; the same call later is right.
            MissingObject: The object of one of them is gone.
        """
        began, filings = self.now(), list[Filing]()
        in_time = [each for each in envelopes if _refusal(each, began) is None]
        spam = [to.account for each in in_time if each.junk for to in each.recipients]
        junk = await junk_mailboxes(self.pool, spam)
        for envelope in in_time:
            summary = envelope.summary or await _summary(self.reporter.blobs, envelope)
            filings += [
                _filing(
                    envelope,
                    each,
                    summary,
                    await self._receipt(envelope, each) if each.notify.success else None,
                    junk.get(each.account, "") if envelope.junk else each.folder,
                )
                for each in envelope.recipients
            ]
        started = time.monotonic()
        results = await file(self.pool, filings) if filings else []
        _commit.observe(time.monotonic() - started)
        _batch.observe(len(filings))
        await self.notices.notify(_changes(results))
        if receipts := _receipts(filings, results):
            await self.outbox.publish(receipts)
        now = self.now()
        return [
            await self._finish(envelope, _tell(envelope, found, now), now)
            for envelope, found in zip(envelopes, _grouped(envelopes, began, results), strict=True)
        ]

    async def _receipt(self, envelope: Local, recipient: LocalRecipient) -> NewMail | None:
        """Store the report of the arrival, as its sender wants (RFC 3461 §5.2.3, a).

        It is stored before anything is filed, and enters the ledger only with the filing.
        """
        orcpt = recipient.notify.orcpt
        arrived = Fate(address=recipient.address, status=OK, orcpt=orcpt, action="delivered")
        return await prepare_report(self.reporter, envelope, [arrived])

    async def _finish(self, envelope: Local, results: dict[int, Result], now: datetime) -> Move:
        """Tell ledger and sender of what was not filed, and decide the envelope's move."""
        if all(isinstance(result, Filed) for result in results.values()):
            return Ack()
        timetable = self.timetable if envelope.sender else self.bounce_timetable
        decision = decide(envelope, results, timetable, now)
        await self._settle(envelope, decision, until=envelope.released + timetable.give_up)
        if lost := unknown(results):
            return Bury(f"not in the ledger: recipients {lost}")
        if decision.onward is None or decision.delay is None:
            return Ack()
        return Wait(decision.delay, decision.onward)

    async def _settle(self, envelope: Local, decision: Decision[Local], *, until: datetime) -> None:
        """Write the ends and the deferrals, each with its report, into the ledger."""
        ended = [each for each in decision.outcomes if isinstance(each, Bounced)]
        bounce = await prepare_report(self.reporter, envelope, decision.failed)
        if await self._apply(envelope, ended, decision, bounce) and bounce is not None:
            await self.outbox.publish([bounce.envelope])
        late = [each for each in decision.outcomes if isinstance(each, Deferred)]
        warning = await prepare_report(self.reporter, envelope, decision.late, retry_until=until)
        # Only the ledger knows whether the sender was warned before: if the warning was entered,
        # the sweeper finds it there and publishes it.
        await self._apply(envelope, late, decision, warning)

    async def _apply(
        self,
        envelope: Local,
        outcomes: Sequence[Bounced | Deferred],
        decision: Decision[Local],
        report: NewMail | None,
    ) -> set[int]:
        """Settle or defer ``outcomes``; return the recipients that were not settled before."""
        if not outcomes:
            return set()
        changed = await ledger.settle(
            self.pool,
            envelope.id,
            endings(self.reporter, envelope, outcomes),
            decision.attempts,
            [report] if report is not None else [],
            warned=bool(decision.late),
        )
        for outcome in outcomes:
            if outcome.n in changed:
                detail = f"attempt {decision.attempts}: {outcome.status} {outcome.reply}"
                self.notes.note(envelope.id, "filing refused", recipient=outcome.n, detail=detail)
        return changed


async def _summary(blobs: Blobs, envelope: Local) -> Summary:
    """Scan the object: the summary was too large to travel, or none was made."""
    octets = await blobs.get(envelope.blob)
    _scanned.inc()
    if len(octets) > SCANNED_INLINE_OCTETS:
        return await asyncio.to_thread(mime.scan, octets)
    return mime.scan(octets)


def _filing(
    envelope: Local,
    recipient: LocalRecipient,
    summary: Summary,
    receipt: NewMail | None,
    folder: str,
) -> Filing:
    return Filing(
        id=envelope.id,
        n=recipient.n,
        account=recipient.account,
        folder=folder,
        poster=envelope.auth,
        prefix=prefix_of(envelope.sender, recipient.address),
        size=envelope.size,
        summary=summary,
        receipt=receipt,
    )


def _receipts(filings: Sequence[Filing], results: Sequence[Result]) -> list[Envelope]:
    """Return the reports that entered the ledger with what was filed."""
    return [
        filing.receipt.envelope
        for filing, result in zip(filings, results, strict=True)
        if filing.receipt is not None and isinstance(result, Filed)
    ]


def prefix_of(sender: str, address: str) -> bytes:
    """Return what final delivery writes above a message: Return-Path (RFC 5321 §4.4), Delivered-To.

    Addresses were parsed at acceptance; line ends that came in otherwise would forge fields.
    """
    lines = f"Return-Path: <{sender}>", f"Delivered-To: {address}"
    return b"".join(
        " ".join(line.splitlines()).replace("\0", "").encode("utf-8", "replace") + b"\r\n"
        for line in lines
    )


def _refusal(envelope: Local, now: datetime) -> Refused | None:
    """Return why it is not filed now: its time is over (RFC 2852 §4.1.3).

    In mode R it is returned; in mode N it is filed once those who want to hear of it were told.
    """
    deadline = envelope.deadline
    if deadline is None or not deadline.is_over(now):
        return None
    if deadline.returns:
        return Refused.TOO_LATE
    is_told = envelope.warned or deadline.is_told or not envelope.sender
    wants = any(each.notify.delay for each in envelope.recipients)
    return Refused.LATE if wants and not is_told else None


def _grouped(
    envelopes: Sequence[Local], began: datetime, results: Sequence[Result]
) -> list[dict[int, Result]]:
    """Deal the results out to their envelopes; those that were refused when it ``began`` have none."""
    rest = iter(results)
    return [
        {each.n: _refusal(envelope, began) or next(rest) for each in envelope.recipients}
        for envelope in envelopes
    ]


def _changes(results: Sequence[Result]) -> list[MailboxChanged]:
    """Return one notice for each mailbox that took something."""
    steps = {(one.account, one.mailbox): one.modseq for one in results if isinstance(one, Filed)}
    return [
        MailboxChanged(account=account, mailbox=mailbox, modseq=modseq)
        for (account, mailbox), modseq in steps.items()
    ]


def _tell(envelope: Local, results: dict[int, Result], now: datetime) -> dict[int, Result]:
    """Log and count what became of the recipients of one envelope; return ``results``."""
    teller, age = log.bind(envelope=str(envelope.id)), (now - envelope.released).total_seconds()
    for n, result in results.items():
        if isinstance(result, Filed):
            _results.labels("filed").inc()
            _age.observe(max(0.0, age))  # who was released early has a time to come
            teller.info("recipient delivered", recipient=n, folder=result.folder, uid=result.uid)
        else:
            _results.labels(result.name.lower()).inc()
            teller.info("recipient not filed", recipient=n, reason=result.value)
    return results
