"""Waiting to be judged: put off like mail that a server outside does not take yet, and returned in time.

The account that sent it is told, never the sender that it named: nobody has seen whether that is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from msgspec import structs

from posthouse.bus.moves import Ack, Move, Wait
from posthouse.mail.content import ContentVerdict
from posthouse.mail.envelope import Envelope, Inbound
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.timetable import Timetable
from posthouse.runtime.bounces import Reporter, endings, prepare_report
from posthouse.runtime.settlement import Decision, attempt_at, conclude
from posthouse.storage import ledger
from posthouse.storage.ledger import NewMail
from posthouse.storage.ledger.judging import Standing, lock_unjudged
from posthouse.storage.pool import Pool, transaction
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

SOON = timedelta(seconds=5)

_PUT_OFF = counter(
    "posthouse_policy_late_put_off_total",
    "Recipients whose message could not be judged at routing, by what became of them.",
    "outcome",
)
for _outcome in ("deferred", "bounced"):
    _PUT_OFF.labels(_outcome)  # an alert sees the first one
log = get_logger()


class Outbox(Protocol):
    """Publishes what is committed, behind our back."""

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Publish soon; never fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRoom:
    """Puts messages off.

    Attributes:
        pool: Where the ledger is.
        reporter: Tells accounts.
        outbox: For what they are told.
        timetable: When it is tried again, and for how long.
        bounce_timetable: The same for mail with the null sender.
        now: The clock.
    """

    pool: Pool
    reporter: Reporter
    outbox: Outbox
    timetable: Timetable
    bounce_timetable: Timetable
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def put_off(self, mail: Inbound, standing: Standing, why: ContentVerdict) -> Move:
        """Return what its envelope does: it waits for the next attempt, or its time has run out.

        Raises:
            Unavailable: Nothing is certain; the same again is right.
        """
        mine = structs.replace(
            mail,
            sender=mail.auth if mail.sender else "",
            recipients=tuple(to for to in mail.recipients if to.n in standing.waiting),
            attempts=standing.attempts,
            warned=standing.warned,
        )
        decision = self._decision(mine, why)
        report = await self._report(mine, decision)
        if not await self._settle(mine, decision, report):
            return Wait(SOON)  # somebody else was quicker: it is seen then what he has done
        if report is not None:
            await self.outbox.publish([report.envelope])
        if decision.onward is None or decision.delay is None:
            return Ack()
        return Wait(decision.delay, structs.replace(decision.onward, sender=mail.sender))

    def _decision(self, mail: Inbound, why: ContentVerdict) -> Decision[Inbound]:
        timetable = self.timetable if mail.sender else self.bounce_timetable
        turn = attempt_at(mail, timetable, self.now())
        outcomes: list[Deferred | Bounced] = []
        for to in mail.recipients:
            if turn.until is None:
                outcomes.append(Bounced(n=to.n, status=why.status, reply=why.text))
            else:
                outcomes.append(
                    Deferred(n=to.n, status=why.status, reply=why.text, until=turn.until)
                )
        return conclude(mail, outcomes, timetable, turn)

    async def _report(self, mail: Inbound, decision: Decision[Inbound]) -> NewMail | None:
        until = mail.released + self.timetable.give_up
        return await prepare_report(
            self.reporter, mail, decision.failed or decision.late, retry_until=until
        )

    async def _settle(
        self, mail: Inbound, decision: Decision[Inbound], report: NewMail | None
    ) -> bool:
        """Return whether that is what became of ``mail``: nobody has decided anything before."""
        async with transaction(self.pool) as tx:
            if not await lock_unjudged(tx, mail.id, mail.attempts):
                return False
            await ledger.settle(
                tx,
                mail.id,
                endings(self.reporter, mail, decision.outcomes),
                decision.attempts,
                [report] if report is not None else [],
                warned=bool(decision.late),
            )
        for each in decision.outcomes:
            _PUT_OFF.labels("deferred" if isinstance(each, Deferred) else "bounced").inc()
            log.info("recipient not judged", envelope=mail.id, recipient=each.n, outcome=each)
        return True
