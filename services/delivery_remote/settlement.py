"""From what servers said to what the ledger, the sender and the broker are told. Pure.

The timetable decides between "wait" and "give up"; nothing waits for ever (promise 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from delivery_remote.handover import Said
from delivery_remote.trouble import Later, Never, Taken
from posthouse.mail.dsn import Action, Failure
from posthouse.mail.envelope import Remote
from posthouse.mail.outcome import Bounced, Deferred, Outcome, Relayed
from posthouse.mail.timetable import Timetable


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one attempt leads to.

    Attributes:
        outcomes: For the ledger, one per recipient that was tried.
        failed: Of whom the sender is told that it will never work.
        late: Of whom the sender is told that it takes longer; empty if no warning is due.
        attempts: This one included.
        delay: When to try the rest again; None if nobody is left.
        onward: The envelope of the rest; None if nobody is left.
    """

    outcomes: tuple[Outcome, ...]
    failed: tuple[Failure, ...]
    late: tuple[Failure, ...]
    attempts: int
    delay: timedelta | None = None
    onward: Remote | None = None


def decide(
    envelope: Remote, results: Mapping[int, Said], timetable: Timetable, now: datetime
) -> Decision:
    """Decide what becomes of the recipients in ``results``."""
    age, attempts = now - envelope.arrived, envelope.attempts + 1
    delay = timetable.next_delay(attempts, age)
    addresses = {recipient.n: recipient.address for recipient in envelope.recipients}
    outcomes = tuple(
        _outcome(n, said, None if delay is None else now + delay) for n, said in results.items()
    )
    waiting = {outcome.n for outcome in outcomes if isinstance(outcome, Deferred)}
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
        attempts=attempts,
        delay=delay if waiting else None,
        onward=_onward(envelope, waiting, attempts, warns=warns) if waiting else None,
    )


def _outcome(n: int, said: Said, until: datetime | None) -> Outcome:
    match said.verdict:
        case Taken(reply=reply):
            return Relayed(n=n, host=said.host, reply=reply)
        case Never(status=status, reply=reply):
            return Bounced(n=n, status=status, reply=reply, host=said.host)
        case Later(status=status, reply=reply):
            if until is None:
                return Bounced(n=n, status=status, reply=f"time ran out: {reply}", host=said.host)
            return Deferred(n=n, status=status, reply=reply, host=said.host, until=until)


def _failure(address: str, outcome: Bounced | Deferred, action: Action) -> Failure:
    return Failure(
        address=address,
        status=outcome.status,
        reply=outcome.reply,
        host=outcome.host,
        action=action,
    )


def _onward(envelope: Remote, waiting: set[int], attempts: int, *, warns: bool) -> Remote:
    return msgspec.structs.replace(
        envelope,
        recipients=tuple(each for each in envelope.recipients if each.n in waiting),
        attempts=attempts,
        warned=envelope.warned or warns,
    )
