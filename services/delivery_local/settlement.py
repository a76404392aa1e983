"""From what filing said to what the ledger, the sender and the broker are told. Pure.

The timetable decides between "wait" and "give up"; nothing waits for ever (promise 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from posthouse.mail.dsn import Action, Failure
from posthouse.mail.envelope import Local
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.status import MAILBOX_FULL, NO_SUCH_USER, Status
from posthouse.mail.timetable import Timetable
from posthouse.storage.filing import Filed, Refused, Result

FULL_FOR_GOOD = Status(552, (5, 2, 2))  # RFC 3463 §3.3, when the owner did not tidy up in time


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one attempt at one message leads to.

    Attributes:
        outcomes: For the ledger: the recipients that were not filed. Those that were, are settled.
        failed: Of whom the sender is told that it will never work.
        late: Of whom the sender is told that it takes longer; empty if no warning is due.
        attempts: This one included.
        delay: When to try the rest again; None if nobody is left.
        onward: The envelope of the rest; None if nobody is left.
        unknown: Recipients the ledger does not know: a human must look.
    """

    outcomes: tuple[Bounced | Deferred, ...]
    failed: tuple[Failure, ...]
    late: tuple[Failure, ...]
    attempts: int
    delay: timedelta | None
    onward: Local | None
    unknown: tuple[int, ...]


def decide(
    envelope: Local, results: Mapping[int, Result], timetable: Timetable, now: datetime
) -> Decision:
    """Decide what becomes of the recipients of ``envelope``; ``results`` has one for each."""
    age, attempts = now - envelope.arrived, envelope.attempts + 1
    delay = timetable.next_delay(attempts, age)
    until = None if delay is None else now + delay
    outcomes = tuple(
        outcome for n, result in results.items() if (outcome := _outcome(n, result, until))
    )
    waiting = {outcome.n for outcome in outcomes if isinstance(outcome, Deferred)}
    warns = bool(waiting) and timetable.is_warning_due(age, warned=envelope.warned)
    addresses = {recipient.n: recipient.address for recipient in envelope.recipients}
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
        unknown=tuple(n for n, result in results.items() if result is Refused.UNKNOWN),
    )


def _outcome(n: int, result: Result, until: datetime | None) -> Bounced | Deferred | None:
    """Return what the ledger is told; None if it knows already, or knows nothing."""
    match result:
        case Filed() | Refused.SETTLED | Refused.UNKNOWN:
            return None
        case Refused.NO_ACCOUNT:
            return Bounced(n=n, status=NO_SUCH_USER, reply="There is no such mailbox here")
        case Refused.OVER_QUOTA:
            reply = "The mailbox is full"
            if until is None:
                return Bounced(n=n, status=FULL_FOR_GOOD, reply=reply)
            return Deferred(n=n, status=MAILBOX_FULL, reply=reply, until=until)
        case _:
            assert_never(result)


def _failure(address: str, outcome: Bounced | Deferred, action: Action) -> Failure:
    return Failure(address=address, status=outcome.status, reply=outcome.reply, action=action)


def _onward(envelope: Local, waiting: set[int], attempts: int, *, warns: bool) -> Local:
    return msgspec.structs.replace(
        envelope,
        recipients=tuple(each for each in envelope.recipients if each.n in waiting),
        attempts=attempts,
        warned=envelope.warned or warns,
    )
