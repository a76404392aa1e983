"""From what became of recipients to what the sender and the broker are told. Pure.

Used by every station that tries again. The timetable decides between "wait" and "give up"; nothing
waits for ever (promise 4). What became of each recipient, the station says; it asks `Turn.until`
whether there is still time for a `Deferred`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, TypeAlias, TypeVar

import msgspec

from posthouse.mail.envelope import Inbound, InboundRecipient, Local, LocalRecipient, Remote
from posthouse.mail.handling import NEVER, Notify
from posthouse.mail.outcome import Bounced, Deferred, Outcome, Relayed
from posthouse.mail.report import Action, Fate
from posthouse.mail.status import LATE, OK
from posthouse.mail.timetable import Timetable

M = TypeVar("M", Inbound, Local, Remote)
Message: TypeAlias = Inbound | Local | Remote


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
        relayed: Of whom the sender is told that they were handed on, or delivered where no more
            will be said.
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


def attempt_at(envelope: Message, timetable: Timetable, now: datetime) -> Turn:
    """Return the turn of an attempt that was made."""
    attempts = envelope.attempts + 1
    delay = timetable.next_delay(attempts, now - envelope.released)
    return Turn(now, attempts, in_time(envelope, delay, now))


def in_time(envelope: Message, delay: timedelta | None, now: datetime) -> timedelta | None:
    """Return ``delay``, cut so that the deadline of ``envelope`` is not slept through (RFC 2852)."""
    deadline = envelope.deadline
    if delay is None or deadline is None or deadline.is_over(now):
        return delay
    return min(delay, deadline.at - now)


def is_warning_due(envelope: Message, timetable: Timetable, now: datetime) -> bool:
    """True if the sender should be told of a delay now: when BY says so, or else the timetable."""
    deadline = envelope.deadline
    if deadline is not None and not deadline.returns and not deadline.is_told:
        return not envelope.warned and deadline.is_over(now)
    return timetable.is_warning_due(now - envelope.released, warned=envelope.warned)


def conclude(
    envelope: M, outcomes: Iterable[Outcome], timetable: Timetable, turn: Turn
) -> Decision[M]:
    """Decide what ``outcomes`` of one ``turn`` of ``envelope`` lead to."""
    outcomes = tuple(outcomes)
    waiting = {each.n for each in outcomes if isinstance(each, Deferred)}
    warns = bool(waiting) and is_warning_due(envelope, timetable, turn.now)
    fates = _fates(envelope, outcomes)
    late = (fate for fate in fates if warns and fate.action == "delayed")
    deadline = envelope.deadline
    if deadline is not None and deadline.is_over(turn.now):
        late = (replace(fate, status=LATE) for fate in late)  # RFC 2852 §4.1.3
    return Decision(
        outcomes=outcomes,
        failed=tuple(fate for fate in fates if fate.action == "failed"),
        late=tuple(late),
        relayed=tuple(fate for fate in fates if fate.action in {"relayed", "delivered"}),
        attempts=turn.attempts,
        delay=turn.delay if waiting else None,
        onward=_onward(envelope, waiting, turn.attempts, warns=warns) if waiting else None,
    )


def _fates(envelope: Message, outcomes: Iterable[Outcome]) -> list[Fate]:
    """Return what the sender wants to hear of ``outcomes``.

    RFC 3461 §5.2.2, §5.2.5, §5.2.6; RFC 2852 §4.1.4 for what is handed on with a deadline.
    """
    recipients = {recipient.n: recipient for recipient in envelope.recipients}
    fates: list[Fate] = []
    for outcome in outcomes:
        to = recipients[outcome.n]
        match outcome:
            case Bounced() if to.notify.failure:
                fates.append(_fate_of(to, outcome, "failed"))
            case Deferred() if to.notify.delay:
                fates.append(_fate_of(to, outcome, "delayed"))
            case Relayed() if _is_trail_told(envelope, to.notify, outcome):
                action: Action = "delivered" if outcome.is_final else "relayed"
                fates.append(_fate_of(to, outcome, action))
            case _:
                pass
    return fates


def _is_trail_told(envelope: Message, notify: Notify, outcome: Relayed) -> bool:
    """True if the sender hears that the mail was handed on: nobody else will tell, or BY asks.

    BY asks for each handing on in mode T (RFC 2852 §4.1.4), and else for one to a server that keeps
    no time, as long as its sender does not know that the time is over (§4.1.4.2).
    """
    if notify.success and not outcome.tells:
        return True
    deadline = envelope.deadline
    if deadline is None or notify.on == NEVER or outcome.is_final:
        return False
    return deadline.traced or not (outcome.keeps_time or deadline.is_told or envelope.warned)


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
