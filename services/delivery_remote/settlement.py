"""From what servers said to what became of each recipient. Pure.

What meets a destination that rests was not tried: it is put off, without an attempt that counts.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from delivery_remote.copies import AT_ONCE
from delivery_remote.handover import Results, Said
from delivery_remote.next_hop import Rest
from delivery_remote.routes import Closed
from delivery_remote.trouble import Later, Never, Taken
from posthouse.mail.envelope import Remote
from posthouse.mail.outcome import Bounced, Deferred, Outcome, Relayed
from posthouse.mail.status import EXPIRED, LATE, Status
from posthouse.mail.timetable import Timetable
from posthouse.runtime.durations import nearest_delay
from posthouse.runtime.settlement import (
    Decision,
    Turn,
    attempt_at,
    conclude,
    in_time,
    is_warning_due,
)

# What is put off waits at least this part of its age: the mail of a destination that is away for
# days comes round less and less often, and is at most so much later once it is back.
AGE_SHARE = 1 / 16
CLOSED = Status(451, (4, 3, 2))  # RFC 3463 §3.4: system not accepting network messages
RETURNED = Status(550, (5, 7, 1))  # RFC 3463 §3.8: an operator does not want it delivered


def decide(
    envelope: Remote,
    results: Results,
    timetable: Timetable,
    now: datetime,
    chance: float = 0.0,
) -> Decision[Remote]:
    """Decide what becomes of the recipients in ``results``; ``chance`` (0 to 1) spreads pauses."""
    turn = attempt_at(envelope, timetable, now)
    if turn.delay is not None:
        spread = in_time(envelope, timetable.spread(turn.delay, chance), now)
        turn = replace(turn, delay=spread)
    return _decision(envelope, results, timetable, turn)


def put_off(envelope: Remote, rest: Rest, timetable: Timetable, now: datetime) -> Decision[Remote]:
    """Decide what becomes of ``envelope``, for which nobody was asked because of ``rest``."""
    age = now - envelope.released
    pause = timetable.next_delay(envelope.attempts + 1, age)
    wanted = max(rest.left, rest.turn, min(age * AGE_SHARE, pause or timedelta()))
    delay = None if pause is None else in_time(envelope, nearest_delay(wanted), now)
    why = f"not tried: {rest.name} rests until {now + rest.left:%H:%M:%S} after: "
    said = Said(replace(rest.trouble, reply=why + rest.trouble.reply))
    results = {each.n: said for each in envelope.recipients}
    return _decision(envelope, results, timetable, Turn(now, envelope.attempts, delay))


def shut(envelope: Remote, way: Closed, timetable: Timetable, now: datetime) -> Decision[Remote]:
    """Decide what becomes of ``envelope``, whose way is closed; it waits until that opens.

    Its sender is told of no delay: nothing is wrong. It is given up like all that waits.
    """
    calm = replace(timetable, warn_after=None)
    age = now - envelope.released
    is_over = calm.next_delay(envelope.attempts + 1, age) is None
    delay = None if is_over else in_time(envelope, way.left, now)
    said = Said(Later(CLOSED, f"not tried: {way.why}"))
    results = {each.n: said for each in envelope.recipients}
    return _decision(envelope, results, calm, Turn(now, envelope.attempts, delay))


def ended(envelope: Remote, timetable: Timetable, now: datetime) -> Decision[Remote] | None:
    """Decide what becomes of ``envelope`` without asking anybody; None if it goes on.

    An operator returns it, or its deadline has passed (RFC 2852 §4.1.3, §4.1.4; in mode N it goes
    on once its sender is told).
    """
    if envelope.verdict:
        returned = Said(Never(RETURNED, envelope.verdict))
        results = {each.n: returned for each in envelope.recipients}
        return _decision(envelope, results, timetable, Turn(now, envelope.attempts, None))
    deadline = envelope.deadline
    if deadline is None or not deadline.is_over(now):
        return None
    if deadline.returns:
        said = Said(Never(EXPIRED, "the time within which it was to be delivered is over"))
    elif is_warning_due(envelope, timetable, now):
        said = Said(Later(LATE, "it could not be delivered within the time wanted"))
    else:
        return None
    results = {each.n: said for each in envelope.recipients}
    return _decision(envelope, results, timetable, Turn(now, envelope.attempts, AT_ONCE))


def _decision(
    envelope: Remote, results: Results, timetable: Timetable, turn: Turn
) -> Decision[Remote]:
    outcomes = (_outcome(n, said, turn.until) for n, said in results.items())
    return conclude(envelope, outcomes, timetable, turn)


def _outcome(n: int, said: Said, until: datetime | None) -> Outcome:
    match said.verdict:
        case Taken(reply=reply):
            return Relayed(
                n=n,
                host=said.host,
                reply=reply,
                tls=said.tls,
                tells=said.tells,
                keeps_time=said.keeps_time,
                is_final=said.is_final,
            )
        case Never(status=status, reply=reply):
            return Bounced(n=n, status=status, reply=reply, host=said.host)
        case Later(status=status, reply=reply):
            if until is None:
                return Bounced(n=n, status=status, reply=f"time ran out: {reply}", host=said.host)
            return Deferred(n=n, status=status, reply=reply, host=said.host, until=until)
