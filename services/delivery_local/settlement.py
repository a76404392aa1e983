"""From what filing said to what became of each recipient. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import assert_never

from posthouse.mail.envelope import Local
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.status import EXPIRED, LATE, MAILBOX_FULL, NO_SUCH_USER, Status
from posthouse.mail.timetable import Timetable
from posthouse.runtime.settlement import Decision, Turn, attempt_at, conclude
from posthouse.storage.filing import Filed, Refused, Result

AT_ONCE = timedelta(seconds=5)  # the shortest way round by the broker
FULL_FOR_GOOD = Status(552, (5, 2, 2))  # RFC 3463 §3.3, when the owner did not tidy up in time


def decide(
    envelope: Local, results: Mapping[int, Result], timetable: Timetable, now: datetime
) -> Decision[Local]:
    """Decide what becomes of the recipients of ``envelope``; ``results`` has one for each."""
    turn = attempt_at(envelope, timetable, now)
    if Refused.LATE in results.values():  # nothing was tried
        turn = Turn(now, envelope.attempts, AT_ONCE)
    outcomes = (_outcome(n, result, turn) for n, result in results.items())
    return conclude(envelope, filter(None, outcomes), timetable, turn)


def unknown(results: Mapping[int, Result]) -> tuple[int, ...]:
    """Return the recipients the ledger does not know: a human must look."""
    return tuple(n for n, result in results.items() if result is Refused.UNKNOWN)


def _outcome(n: int, result: Result, turn: Turn) -> Bounced | Deferred | None:
    """Return what the ledger is told; None if it knows already, or knows nothing."""
    match result:
        case Filed() | Refused.SETTLED | Refused.UNKNOWN:
            return None
        case Refused.NO_ACCOUNT:
            return Bounced(n=n, status=NO_SUCH_USER, reply="There is no such mailbox here")
        case Refused.OVER_QUOTA:
            return _full(n, turn.until)
        case Refused.LATE:
            reply = "It could not be delivered within the time wanted"
            return Deferred(n=n, status=LATE, reply=reply, until=turn.now + AT_ONCE)
        case Refused.TOO_LATE:
            reply = "The time within which it was to be delivered is over"
            return Bounced(n=n, status=EXPIRED, reply=reply)
        case _:
            assert_never(result)


def _full(n: int, until: datetime | None) -> Bounced | Deferred:
    reply = "The mailbox is full"
    if until is None:
        return Bounced(n=n, status=FULL_FOR_GOOD, reply=reply)
    return Deferred(n=n, status=MAILBOX_FULL, reply=reply, until=until)
