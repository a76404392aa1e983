"""Which copy of an envelope that waits to be judged goes on. Pure.

The rule is that of `delivery_remote.copies`, by the rows' ``attempts`` (r) and the envelope's (a):
who puts a message off commits r = a + 1 first, and puts the envelope (a + 1) on a wait queue then.

    no row waits, or a <= r - 2   somebody else goes on, or an operator holds it: dropped
    a = r - 1                     an old copy, or the only one, if its process died in between: it
                                  comes some time after the others
    a >= r                        waits until it is due, and goes on
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

EARLY = timedelta(seconds=5)  # clocks differ; a little too early is due
BEHIND = timedelta(seconds=30)  # an old copy comes so much later than the current one


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How the recipients stand that are not routed, settled or held.

    Attributes:
        attempts: How often it was tried to judge the message.
        due: When that is tried next; None: now.
        warned: The sender was told of the delay.
    """

    attempts: int = 0
    due: datetime | None = None
    warned: bool = False


@dataclass(frozen=True, slots=True)
class Drop:
    """Nothing is left to do for this copy."""


@dataclass(frozen=True, slots=True)
class Later:
    """It goes back to the broker as it is, for at most so long."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class Now:
    """It goes on."""


Turn: TypeAlias = Drop | Later | Now


def turn_of(attempts: int, waiting: Waiting | None, now: datetime) -> Turn:
    """Decide what the copy that says ``attempts`` does; None: there is nobody left to wait for."""
    if waiting is None or attempts <= waiting.attempts - 2:
        return Drop()
    left = waiting.due - now if waiting.due else timedelta()
    if attempts < waiting.attempts:
        left += BEHIND
    return Later(left) if left > EARLY else Now()
