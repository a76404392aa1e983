"""Which copy of an envelope goes on. Pure.

The broker may hold several copies of one envelope: a redelivery, a broker rebuilt beside one that
lives, a sweeper's doubt. The claim sees to it that one at a time is worked on; here it is decided
what the others do, by the row's ``attempts`` (r) and the envelope's (a). A copy at work commits
r = a + 1 first and puts its successor (a + 1) on a wait queue afterwards, and only then is it
acknowledged. So while a recipient waits, a copy with a >= r - 1 exists, and:

    settled, or a <= r - 2   somebody else goes on: this copy is dropped
    a = r - 1                an old copy; or the only one, if its process died between the commit
                             and the wait: it waits until some time after the others, and becomes
                             current (a = r) if the recipient was not tried by then
    a = r, not due yet       put on the road early (a rebuilt broker): it waits until it is due
    a = r, due; a > r        goes on

A copy that goes on and finds its destination at rest is put off: it commits r = a with a later
time, and waits as a. So the rule above holds as it is, and what the ledger had as the next
attempt moves on for all copies; only an attempt that was made lets one be dropped.

What an operator decides changes the row, too, and copies learn of it here. A held recipient is no
copy's: when it is released, a fresh one is published. One that was sent another way (``via``), or
is to be returned (``verdict``), is only that copy's which was published with it. How long it was
held, each copy learns from the row.

So two chains of retries become one: both wait for the same moment, one gets the claim and moves r
on, and the other, an old copy now, comes later than the first each time, and is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec

from posthouse.mail.envelope import Remote
from posthouse.runtime.durations import nearest_delay
from posthouse.storage.ledger import Open

EARLY = timedelta(seconds=5)  # clocks differ; a little too early is due
EARLY_MAX = timedelta(minutes=5)
EARLY_SHARE = 1 / 256  # of its age: mail that is old does not go round once more for a minute
BEHIND = timedelta(seconds=30)  # an old copy comes so much later than the current one
AT_ONCE = timedelta(seconds=5)  # the shortest way round by the broker


@dataclass(frozen=True, slots=True)
class Drop:
    """Nothing is left to do for this copy."""


@dataclass(frozen=True, slots=True)
class Later:
    """This copy goes back to the broker, no attempt is counted.

    Attributes:
        delay: At most this long; it may be looked at earlier.
        envelope: As it goes back.
    """

    delay: timedelta
    envelope: Remote


@dataclass(frozen=True, slots=True)
class Now:
    """This copy goes on.

    Attributes:
        envelope: With those recipients it goes on for.
    """

    envelope: Remote


Turn: TypeAlias = Drop | Later | Now


def turn_of(envelope: Remote, rows: Sequence[Open], now: datetime) -> Turn:
    """Decide what this copy does; ``rows`` are those of its recipients that are not settled."""
    live = [row for row in rows if _is_live(envelope, row)]
    if not live:
        return Drop()
    rest = _rest(envelope, live)
    current = [row for row in live if row.attempts <= envelope.attempts]
    if any(_left(row, now) <= _early(envelope, now) for row in current):
        return Now(rest)  # one that was to wait comes along: trying it early harms nobody
    left = min(_left(row, now) for row in live)
    if current:
        return Later(_round(rest, left), rest)
    if left + BEHIND > timedelta():
        return Later(left + BEHIND, rest)
    attempts = max(row.attempts for row in live)
    return Later(AT_ONCE, msgspec.structs.replace(rest, attempts=attempts))


def _rest(envelope: Remote, live: Sequence[Open]) -> Remote:
    """Return what is left of ``envelope``, with what the ledger knows better."""
    numbers = {row.n for row in live}
    return msgspec.structs.replace(
        envelope,
        recipients=tuple(each for each in envelope.recipients if each.n in numbers),
        warned=envelope.warned or all(row.warned for row in live),
        paused=max(row.paused for row in live) // timedelta(seconds=1),
    )


def _is_live(envelope: Remote, row: Open) -> bool:
    """False if another copy goes on for this recipient, or will when it is released.

    Nobody waits for one that was tried and has no time for the next attempt: it lay in the dead
    letters, and this copy is what was made of it.
    """
    if row.held or (row.via, row.verdict) != (envelope.via, envelope.verdict):
        return False
    return row.attempts <= envelope.attempts + 1 or row.next_attempt_at is None


def _early(envelope: Remote, now: datetime) -> timedelta:
    """Return how much too early is early enough."""
    return max(EARLY, min(EARLY_MAX, (now - envelope.released) * EARLY_SHARE))


def _round(envelope: Remote, left: timedelta) -> timedelta:
    """Return how long it waits: one wait that fits nearly, not several that fit exactly.

    No deadline is slept through.
    """
    return left if envelope.deadline else nearest_delay(left)


def _left(row: Open, now: datetime) -> timedelta:
    """Return how long it is to the next attempt; negative if it is overdue."""
    if row.next_attempt_at is None:
        return -BEHIND
    return row.next_attempt_at - now
