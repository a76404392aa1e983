"""What was said goes into the ledger, the sender is told, and the broker learns what is next.

    results ─▶ decision ─▶ reports stored ─▶ ledger (with others' results) ─▶ reports published ─▶ Move

What servers said is kept in memory until the ledger has it, however long PostgreSQL is away; the
settling is repeated, never the sending.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from delivery_remote.classes import Classes
from delivery_remote.handover import Results
from delivery_remote.next_hop import Rest
from delivery_remote.refusals import Refusals
from delivery_remote.routes import Closed
from delivery_remote.settlement import decide, ended, put_off, shut
from posthouse.bus.moves import Ack, Move, Wait
from posthouse.mail.envelope import Remote
from posthouse.mail.errors import Unavailable
from posthouse.mail.outcome import Bounced, Deferred, Discarded, Outcome, Relayed
from posthouse.mail.timetable import Timetable
from posthouse.runtime.bounces import Reporter, endings, prepare_report
from posthouse.runtime.outbox import Outbox
from posthouse.runtime.settlement import Decision
from posthouse.storage.ledger import NewMail, Settlement, Settler
from posthouse.storage.trace import Trace
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter, gauge

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0

log = get_logger()
_recipients = counter(
    "posthouse_remote_recipients_total",
    "Recipients, by what became of them at each turn",
    "outcome",
)
_failed = counter(
    "posthouse_remote_settle_failures_total", "Attempts to bring a result to the ledger, in vain"
)
_put_off = counter(
    "posthouse_remote_put_off_total", "Mails that were not tried because their destination rests"
)
_shut = counter(
    "posthouse_remote_shut_total", "Mails that were not tried because their way is closed"
)
_untold = gauge(
    "posthouse_remote_unsettled_results", "Messages sent whose results the ledger has not got yet"
)


@dataclass(slots=True, kw_only=True)
class Books:
    """Keeps the books of one process.

    Attributes:
        settler: Brings results to the ledger.
        outbox: Publishes reports.
        trace: Takes notes.
        reporter: Writes reports.
        refusals: Count who refused for good.
        classes: Say when mail is tried again.
    """

    settler: Settler
    outbox: Outbox
    trace: Trace
    reporter: Reporter
    refusals: Refusals
    classes: Classes
    _open: int = 0

    def trouble(self) -> str | None:
        """Return why this service is not ready, None if it is."""
        return f"{self._open} sent messages wait for the ledger" if self._open else None

    def timetable_of(self, envelope: Remote) -> Timetable:
        """Return when ``envelope`` is tried again, and for how long."""
        return self.classes.of(envelope)

    async def settle(self, envelope: Remote, results: Results) -> Move:
        """Bring what was said into the ledger, however long that takes."""
        timetable, now = self.timetable_of(envelope), datetime.now(UTC)
        decision = decide(envelope, results, timetable, now, random.random())  # noqa: S311 - no secret
        return await self._enter(envelope, decision)

    async def put_off(self, envelope: Remote, rest: Rest) -> Move:
        """Note in the ledger that ``envelope`` was not tried because of ``rest``."""
        _put_off.inc()
        timetable = self.timetable_of(envelope)
        return await self._enter(envelope, put_off(envelope, rest, timetable, datetime.now(UTC)))

    async def shut(self, envelope: Remote, way: Closed) -> Move:
        """Note in the ledger that the way of ``envelope`` is closed."""
        _shut.inc()
        timetable = self.timetable_of(envelope)
        return await self._enter(envelope, shut(envelope, way, timetable, datetime.now(UTC)))

    async def expire(self, envelope: Remote) -> Move | None:
        """Bring it into the ledger if nobody needs to be asked (`ended`); None if it goes on."""
        decision = ended(envelope, self.timetable_of(envelope), datetime.now(UTC))
        return None if decision is None else await self._enter(envelope, decision)

    async def _enter(self, envelope: Remote, decision: Decision[Remote]) -> Move:
        """Bring ``decision`` into the ledger; return what the broker is told.

        What was relayed goes first, and alone unless its sender wants to be told: nothing that
        may go wrong with another report can make us send it again.
        """
        relayed = [each for each in decision.outcomes if isinstance(each, Relayed)]
        others = [each for each in decision.outcomes if not isinstance(each, Relayed)]
        self._count(1)
        try:
            if relayed:
                await self._enter_relayed(envelope, decision, relayed)
            if others:
                reports = await _held(lambda: self._reports(envelope, decision))
                entered = await _held(lambda: self._write(envelope, decision, others, reports))
                await self.outbox.publish([report.envelope for report in entered])
        finally:
            self._count(-1)
        return Ack() if decision.delay is None else Wait(decision.delay, decision.onward)

    async def _enter_relayed(
        self, envelope: Remote, decision: Decision[Remote], relayed: Sequence[Outcome]
    ) -> None:
        reports: list[NewMail] = []
        if decision.relayed:
            told = await _held(lambda: prepare_report(self.reporter, envelope, decision.relayed))
            reports = [told] if told else []
        entered = await _held(lambda: self._write(envelope, decision, relayed, reports))
        await self.outbox.publish([report.envelope for report in entered])

    def _count(self, change: int) -> None:
        self._open += change
        _untold.set(self._open)

    async def _reports(self, envelope: Remote, decision: Decision[Remote]) -> list[NewMail]:
        until = envelope.released + self.timetable_of(envelope).give_up
        prepared = (
            await prepare_report(self.reporter, envelope, decision.failed),
            await prepare_report(self.reporter, envelope, decision.late, retry_until=until),
        )
        return [report for report in prepared if report is not None]

    async def _write(
        self,
        envelope: Remote,
        decision: Decision[Remote],
        some: Sequence[Outcome],
        reports: Sequence[NewMail] = (),
    ) -> Sequence[NewMail]:
        """Settle ``some`` of the outcomes; return the reports that entered the ledger."""
        outcomes = endings(self.reporter, envelope, some)
        settled = await self.settler.settle(
            Settlement(
                id=envelope.id,
                outcomes=outcomes,
                attempts=decision.attempts,
                warned=bool(decision.late),
                new=tuple(reports),
            )
        )
        changed = [outcome for outcome in outcomes if outcome.n in settled.changed]
        for outcome in changed:
            self._tell(envelope, outcome)
        # Should PostgreSQL go away here, these are not counted: the list forgets, the ledger never.
        await self.refusals.note(envelope, changed)
        return settled.entered

    def _tell(self, envelope: Remote, outcome: Outcome) -> None:
        """Note what became of one recipient, for operators."""
        what, detail = _words(outcome)
        _recipients.labels(what).inc()
        address = next(each.address for each in envelope.recipients if each.n == outcome.n)
        log.info("recipient settled", outcome=what, recipient=address, detail=detail)
        self.trace.note(envelope.id, what, recipient=outcome.n, detail=detail)


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


def _words(outcome: Outcome) -> tuple[str, str]:
    match outcome:
        case Relayed(host=host, reply=reply, tls=tls):
            return "relayed", f"{host}: {reply} ({tls})"
        case Deferred(host=host, reply=reply, until=until):
            return "deferred", f"{host or 'we'}: {reply}; again at {until:%H:%M:%S}"
        case Bounced(host=host, reply=reply):
            return "bounced", f"{host or 'we'}: {reply}"
        case Discarded(rule=rule):
            return "discarded", f"rule {rule}"
