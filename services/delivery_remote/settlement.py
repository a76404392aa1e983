"""From what servers said to what the ledger, the sender and the broker are told. Pure.

The timetable decides between "wait" and "give up"; nothing waits for ever (promise 4). What meets a
destination that rests was not tried: it is put off, without an attempt that counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from delivery_remote.handover import Results, Said
from delivery_remote.next_hop import Rest
from delivery_remote.trouble import Later, Never, Taken
from posthouse.bus.topology import DELAYS
from posthouse.mail.dsn import Action, Failure
from posthouse.mail.envelope import Remote
from posthouse.mail.outcome import Bounced, Deferred, Outcome, Relayed
from posthouse.mail.timetable import Timetable

# What is put off waits at least this part of its age: the mail of a destination that is away for
# days comes round less and less often, and is at most so much later once it is back.
AGE_SHARE = 1 / 16


@dataclass(frozen=True, slots=True)
class _Next:
    """What comes after this time.

    Attributes:
        now: This time.
        attempts: That count by now.
        delay: Until the next one; None if time has run out.
    """

    now: datetime
    attempts: int
    delay: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one attempt leads to, or one that was put off.

    Attributes:
        outcomes: For the ledger, one per recipient that was tried.
        failed: Of whom the sender is told that it will never work.
        late: Of whom the sender is told that it takes longer; empty if no warning is due.
        attempts: That count by now: this one included if somebody was asked.
        delay: When to try the rest again; None if nobody is left.
        onward: The envelope of the rest; None if nobody is left.
    """

    outcomes: tuple[Outcome, ...]
    failed: tuple[Failure, ...]
    late: tuple[Failure, ...]
    attempts: int
    delay: timedelta | None = None
    onward: Remote | None = None


def decide(envelope: Remote, results: Results, timetable: Timetable, now: datetime) -> Decision:
    """Decide what becomes of the recipients in ``results``."""
    attempts = envelope.attempts + 1
    delay = timetable.next_delay(attempts, now - envelope.arrived)
    return _decision(envelope, results, timetable, _Next(now, attempts, delay))


def put_off(envelope: Remote, rest: Rest, timetable: Timetable, now: datetime) -> Decision:
    """Decide what becomes of ``envelope``, for which nobody was asked because of ``rest``."""
    age = now - envelope.arrived
    pause = timetable.next_delay(envelope.attempts + 1, age)
    wanted = max(rest.left, min(age * AGE_SHARE, pause or timedelta()))
    delay = None if pause is None else min(DELAYS, key=lambda each: abs(each - wanted))
    why = f"not tried: {rest.name} rests until {now + rest.left:%H:%M:%S} after: "
    said = Said(replace(rest.trouble, reply=why + rest.trouble.reply))
    results = {each.n: said for each in envelope.recipients}
    return _decision(envelope, results, timetable, _Next(now, envelope.attempts, delay))


def _decision(envelope: Remote, results: Results, timetable: Timetable, then: _Next) -> Decision:
    age, attempts, delay = then.now - envelope.arrived, then.attempts, then.delay
    addresses = {recipient.n: recipient.address for recipient in envelope.recipients}
    outcomes = tuple(
        _outcome(n, said, None if delay is None else then.now + delay)
        for n, said in results.items()
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
