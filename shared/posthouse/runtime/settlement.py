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

from posthouse.mail.dsn import Action, Failure
from posthouse.mail.envelope import Local, Remote
from posthouse.mail.outcome import Bounced, Deferred, Outcome
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
        attempts: That count by now: this one included if it was made.
        delay: When to try the rest again; None if nobody is left.
        onward: The envelope of the rest; None if nobody is left.
    """

    outcomes: tuple[Outcome, ...]
    failed: tuple[Failure, ...]
    late: tuple[Failure, ...]
    attempts: int
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
    addresses = {recipient.n: recipient.address for recipient in envelope.recipients}
    waiting = {each.n for each in outcomes if isinstance(each, Deferred)}
    age = turn.now - envelope.arrived
    warns = bool(waiting) and timetable.is_warning_due(age, warned=envelope.warned)
    return Decision(
        outcomes=outcomes,
        failed=tuple(
            _failure(addresses[each.n], each, "failed")
            for each in outcomes
            if isinstance(each, Bounced)
        ),
        late=tuple(
            _failure(addresses[each.n], each, "delayed")
            for each in outcomes
            if warns and isinstance(each, Deferred)
        ),
        attempts=turn.attempts,
        delay=turn.delay if waiting else None,
        onward=_onward(envelope, waiting, turn.attempts, warns=warns) if waiting else None,
    )


def _failure(address: str, outcome: Bounced | Deferred, action: Action) -> Failure:
    return Failure(
        address=address,
        status=outcome.status,
        reply=outcome.reply,
        host=outcome.host,
        action=action,
    )


def _onward(envelope: M, waiting: set[int], attempts: int, *, warns: bool) -> M:
    return msgspec.structs.replace(
        envelope,
        recipients=tuple(each for each in envelope.recipients if each.n in waiting),
        attempts=attempts,
        warned=envelope.warned or warns,
    )
