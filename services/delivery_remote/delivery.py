"""One envelope from the road to the world and into the ledger; the heart of this service.

    still open? ─▶ octets ─▶ way ─▶ slot ─▶ servers ─▶ ledger (+ reports) ─▶ Ack or Wait

Promise 3: the ledger is asked before sending, and what servers said is kept in memory until the
ledger has it, however long PostgreSQL is away; the settling is repeated, never the sending. Only
a process that dies between a server's 250 and our commit sends twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from delivery_remote.destinations import Destinations
from delivery_remote.handover import Handover, Results, Said
from delivery_remote.next_hop import Destination
from delivery_remote.octets import Octets, open_octets
from delivery_remote.routes import NoWay, Plan, Routes
from delivery_remote.session import Mail
from delivery_remote.settlement import Decision, decide
from delivery_remote.trouble import Later
from posthouse.blobs import Blobs
from posthouse.bus.moves import Ack, Move, Wait
from posthouse.mail.envelope import InboundRecipient, Remote
from posthouse.mail.errors import Unavailable
from posthouse.mail.outcome import Bounced, Deferred, Discarded, Outcome, Relayed
from posthouse.mail.status import Status
from posthouse.mail.timetable import Timetable
from posthouse.runtime.bounces import Reporter, endings, prepare_bounce
from posthouse.runtime.outbox import Outbox
from posthouse.storage import ledger
from posthouse.storage.ledger import NewMail
from posthouse.storage.pool import Pool
from posthouse.storage.trace import Trace
from posthouse.telemetry.logs import about, get_logger
from posthouse.telemetry.metrics import counter, gauge

T = TypeVar("T")

CROWDED_WAIT = timedelta(seconds=5)  # back on the road soon, without an attempt counted
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0

TOO_BUSY = Later(Status(451, (4, 4, 5)), "too much mail waits for the destination")
SPARE_PLACES = 0.25  # of a shard's places: kept for destinations that can begin at once

log = get_logger()
_recipients = counter(
    "posthouse_remote_recipients_total", "Recipients tried, by what became of them", "outcome"
)
_crowded = counter(
    "posthouse_remote_crowded_total", "Mails sent back because their destination is busy"
)
_failed = counter(
    "posthouse_remote_settle_failures_total", "Attempts to bring a result to the ledger, in vain"
)
_untold = gauge(
    "posthouse_remote_unsettled_results", "Messages sent whose results the ledger has not got yet"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What `Delivery` is made of.

    Attributes:
        pool: PostgreSQL.
        blobs: Where the octets are.
        routes: Where mail goes.
        destinations: What is known of next hops.
        outbox: Publishes reports.
        trace: Takes notes.
        reporter: Writes reports.
        timetable: For mail.
        bounce_timetable: For mail with the null sender, which nobody waits for.
    """

    pool: Pool
    blobs: Blobs
    routes: Routes
    destinations: Destinations
    outbox: Outbox
    trace: Trace
    reporter: Reporter
    timetable: Timetable
    bounce_timetable: Timetable


class Delivery:
    """Delivers one envelope after the other, from whatever road."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._untold = 0

    def trouble(self) -> str | None:
        """Return why this service is not ready, None if it is."""
        if self._untold:
            return f"{self._untold} sent messages wait for the ledger"
        return None

    async def deliver(self, envelope: Remote, *, may_wait: bool = True) -> Move:
        """Deliver ``envelope``; send it back if its destination is busy and it may not wait."""
        with about(envelope=str(envelope.id), domain=envelope.domain):
            rest = await self._still_open(envelope)
            if rest is None:
                return Ack()
            plan = await self._parts.routes.plan(rest.domain)
            if not isinstance(plan, Plan):
                return await self._settle(rest, _for_all(rest.recipients, plan))
            destination = self._parts.destinations.get(plan.destination)
            if destination.is_crowded or (destination.is_full and not may_wait):
                return await self._send_back(rest)
            return await self._in_turn(rest, plan, destination)

    async def _still_open(self, envelope: Remote) -> Remote | None:
        """Return the envelope of those the ledger still has open; None if there are none."""
        numbers = [recipient.n for recipient in envelope.recipients]
        still_open = await ledger.unsettled(self._parts.pool, envelope.id, numbers)
        left = tuple(each for each in envelope.recipients if each.n in still_open)
        if not left:
            log.info("nothing left to do")
            return None
        return msgspec.structs.replace(envelope, recipients=left)

    async def _send_back(self, envelope: Remote) -> Move:
        """Return ``envelope`` to the broker for a moment; give it up when its time is over."""
        if datetime.now(UTC) - envelope.arrived >= self._timetable(envelope).give_up:
            return await self._settle(envelope, _for_all(envelope.recipients, TOO_BUSY))
        _crowded.inc()
        return Wait(CROWDED_WAIT, envelope)

    async def _in_turn(self, envelope: Remote, plan: Plan, destination: Destination) -> Move:
        """Send and settle in one slot: what is sent and not yet settled never exceeds the slots.

        That many mails a crash can double, and a ledger that is slow slows the sending.
        """
        must_wait = destination.is_full
        async with destination.slot():
            rest = await self._still_open(envelope) if must_wait else envelope
            if rest is None:
                return Ack()
            return await self._settle(rest, await self._results(rest, plan, destination))

    async def _results(self, envelope: Remote, plan: Plan, destination: Destination) -> Results:
        trouble = destination.resting()
        if trouble is not None:
            return _for_all(envelope.recipients, trouble)
        octets = await open_octets(self._parts.blobs, envelope)
        mail = _mail(envelope, octets)
        handover = Handover(self._parts.destinations, plan, mail, envelope.recipients)
        return await handover.run(destination)

    async def _settle(self, envelope: Remote, results: Results) -> Move:
        """Bring what was said into the ledger, however long that takes.

        What was relayed goes first and alone: nothing that may go wrong with a report can make
        us send it again.
        """
        decision = decide(envelope, results, self._timetable(envelope), datetime.now(UTC))
        relayed = [each for each in decision.outcomes if isinstance(each, Relayed)]
        others = [each for each in decision.outcomes if not isinstance(each, Relayed)]
        self._untold += 1
        _untold.set(self._untold)
        try:
            if relayed:
                await _held(lambda: self._write(envelope, decision, relayed))
            if others:
                reports = await _held(lambda: self._reports(envelope, decision))
                changed = await _held(lambda: self._write(envelope, decision, others, reports))
                await self._parts.outbox.publish([r.envelope for r in reports if changed])
        finally:
            self._untold -= 1
            _untold.set(self._untold)
        return Ack() if decision.delay is None else Wait(decision.delay, decision.onward)

    def _timetable(self, envelope: Remote) -> Timetable:
        return self._parts.timetable if envelope.sender else self._parts.bounce_timetable

    async def _reports(self, envelope: Remote, decision: Decision) -> list[NewMail]:
        reporter = self._parts.reporter
        until = envelope.arrived + self._timetable(envelope).give_up
        prepared = (
            await prepare_bounce(reporter, envelope, decision.failed),
            await prepare_bounce(reporter, envelope, decision.late, retry_until=until),
        )
        return [report for report in prepared if report is not None]

    async def _write(
        self,
        envelope: Remote,
        decision: Decision,
        some: Sequence[Outcome],
        reports: Sequence[NewMail] = (),
    ) -> set[int]:
        """Settle ``some`` of the outcomes; return the recipients that really changed."""
        outcomes = endings(self._parts.reporter, envelope, some)
        changed = await ledger.settle(
            self._parts.pool,
            envelope.id,
            outcomes,
            decision.attempts,
            reports,
            warned=bool(decision.late),
        )
        for outcome in outcomes:
            if outcome.n in changed:
                self._tell(envelope, outcome)
        return changed

    def _tell(self, envelope: Remote, outcome: Outcome) -> None:
        """Note what became of one recipient, for operators."""
        what, detail = _words(outcome)
        _recipients.labels(what).inc()
        address = next(each.address for each in envelope.recipients if each.n == outcome.n)
        log.info("recipient settled", outcome=what, recipient=address, detail=detail)
        self._parts.trace.note(envelope.id, what, recipient=outcome.n, detail=detail)


class Shard:
    """The handler of one road; it keeps places free for those who need not wait."""

    def __init__(self, delivery: Delivery, places: int) -> None:
        self._delivery = delivery
        self._calm = places * (1 - SPARE_PLACES)
        self._running = 0

    async def __call__(self, envelopes: Sequence[Remote]) -> Sequence[Move]:
        """Deliver each of ``envelopes``, one after the other."""
        self._running += 1
        try:
            return [
                await self._delivery.deliver(envelope, may_wait=self._running < self._calm)
                for envelope in envelopes
            ]
        finally:
            self._running -= 1


async def _held(attempt: Callable[[], Awaitable[T]]) -> T:
    """Return what ``attempt`` returns, tried again for as long as a part of our house is away.

    What servers said exists only here meanwhile; if the service is ended now, it is lost.
    """
    pause = FIRST_PAUSE_SECONDS
    try:
        while True:
            try:
                return await attempt()
            except Unavailable as trouble:
                _failed.inc()
                log.warning("result held", reason=str(trouble))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
    except asyncio.CancelledError:
        log.warning("result lost, a duplicate is possible")
        raise


def _for_all(recipients: Sequence[InboundRecipient], verdict: NoWay) -> Results:
    """Return ``verdict`` for all ``recipients``: no server was asked."""
    return {recipient.n: Said(verdict) for recipient in recipients}


def _mail(envelope: Remote, octets: Octets) -> Mail:
    paths = (envelope.sender, *(recipient.address for recipient in envelope.recipients))
    needs_utf8 = envelope.smtputf8 and not octets.has_plain_header
    return Mail(
        sender=envelope.sender,
        recipients=(),
        size=envelope.size,
        body=envelope.body,
        smtputf8=needs_utf8 or not all(map(str.isascii, paths)),
        pieces=octets.pieces,
    )


def _words(outcome: Outcome) -> tuple[str, str]:
    match outcome:
        case Relayed(host=host, reply=reply):
            return "relayed", f"{host}: {reply}"
        case Deferred(host=host, reply=reply, until=until):
            return "deferred", f"{host or 'we'}: {reply}; again at {until:%H:%M:%S}"
        case Bounced(host=host, reply=reply):
            return "bounced", f"{host or 'we'}: {reply}"
        case Discarded(rule=rule):
            return "discarded", f"rule {rule}"
