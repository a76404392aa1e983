"""From what became of recipients to what the sender and the broker are told. Pure.

Used by every station that delivers. The timetable decides between "wait" and "give up"; nothing
waits for ever (promise 4). What became of each recipient, the station says; it asks `Turn.until`
whether there is still time for a `Deferred`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import msgspec

from posthouse.mail.envelope import InboundRecipient, Local, LocalRecipient, Remote
from posthouse.mail.outcome import Bounced, Deferred, Outcome, Relayed
from posthouse.mail.report import Action, Fate
from posthouse.mail.status import OK
from posthouse.mail.timetable import Timetable

M = TypeVar("M", Local, Remote)


@dataclass(frozen=True, slots=True)
class Turn:
    """One attempt at an envelope, or one that was put off.

    Attributes:
        now: When it was.
        attempts: That count by now.
        delay: Until the next one; None if time has run out.
    """

    now: datetime
    attempts: int
    delay: timedelta | None

    @property
    def until(self) -> datetime | None:
        """When the next one is due; None if time has run out."""
        return None if self.delay is None else self.now + self.delay


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Generic[M]):
    """What one turn leads to.

    Attributes:
        outcomes: For the ledger, one per recipient that it does not know settled.
        failed: Of whom the sender is told that it will never work.
        late: Of whom the sender is told that it takes longer; empty if no warning is due.
        relayed: Of whom the sender is told that they were handed on, and no more will be said.
        attempts: That count by now: this one included if it was made.
        delay: When to try the rest again; None if nobody is left.
        onward: The envelope of the rest; None if nobody is left.
    """

    outcomes: tuple[Outcome, ...]
    failed: tuple[Fate, ...]
    late: tuple[Fate, ...]
    attempts: int
    relayed: tuple[Fate, ...] = ()
    delay: timedelta | None = None
    onward: M | None = None


def attempt_at(envelope: Local | Remote, timetable: Timetable, now: datetime) -> Turn:
    """Return the turn of an attempt that was made."""
    attempts = envelope.attempts + 1
    return Turn(now, attempts, timetable.next_delay(attempts, now - envelope.arrived))


def conclude(
    envelope: M, outcomes: Iterable[Outcome], timetable: Timetable, turn: Turn
) -> Decision[M]:
    """Decide what ``outcomes`` of one ``turn`` of ``envelope`` lead to."""
    outcomes = tuple(outcomes)
    waiting = {each.n for each in outcomes if isinstance(each, Deferred)}
    age = turn.now - envelope.arrived
    warns = bool(waiting) and timetable.is_warning_due(age, warned=envelope.warned)
    fates = _fates(envelope, outcomes)
    return Decision(
        outcomes=outcomes,
        failed=tuple(fate for fate in fates if fate.action == "failed"),
        late=tuple(fate for fate in fates if warns and fate.action == "delayed"),
        relayed=tuple(fate for fate in fates if fate.action == "relayed"),
        attempts=turn.attempts,
        delay=turn.delay if waiting else None,
        onward=_onward(envelope, waiting, turn.attempts, warns=warns) if waiting else None,
    )


def _fates(envelope: Local | Remote, outcomes: Iterable[Outcome]) -> list[Fate]:
    """Return what the sender wants to hear of ``outcomes`` (RFC 3461 §5.2.2, §5.2.5, §5.2.6)."""
    recipients = {recipient.n: recipient for recipient in envelope.recipients}
    fates: list[Fate] = []
    for outcome in outcomes:
        to = recipients[outcome.n]
        match outcome:
            case Bounced() if to.notify.failure:
                fates.append(_fate_of(to, outcome, "failed"))
            case Deferred() if to.notify.delay:
                fates.append(_fate_of(to, outcome, "delayed"))
            case Relayed() if to.notify.success and not outcome.tells:
                fates.append(_fate_of(to, outcome, "relayed"))
            case _:
                pass
    return fates


def _fate_of(
    to: InboundRecipient | LocalRecipient, outcome: Bounced | Deferred | Relayed, action: Action
) -> Fate:
    """Return what a report says of ``outcome``."""
    return Fate(
        address=to.address,
        status=OK if isinstance(outcome, Relayed) else outcome.status,
        reply=outcome.reply,
        host=outcome.host,
        orcpt=to.notify.orcpt,
        action=action,
    )


def _onward(envelope: M, waiting: set[int], attempts: int, *, warns: bool) -> M:
    return msgspec.structs.replace(
        envelope,
        recipients=tuple(each for each in envelope.recipients if each.n in waiting),
        attempts=attempts,
        warned=envelope.warned or warns,
    )
