"""When to try again, when to warn, when to give up (RFC 5321 §4.5.4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """The plan of retries for one class of mail.

    Attributes:
        delays: The pause after the first, second ... failed attempt; the last one repeats. Each is
            one of the wait queues of `posthouse.bus.topology`: what comes out of one too early for
            the ledger's time waits on in a shorter one.
        warn_after: Age at which the sender is told that the message is late; None for never.
        give_up: Age at which a deferred recipient is bounced; RFC 5321 §4.5.4.1 asks 4-5 days.
        jitter: The part of a pause by which chance makes it longer, so that what failed together
            does not come back together.
    """

    delays: tuple[timedelta, ...]
    warn_after: timedelta | None
    give_up: timedelta
    jitter: float = 0.0

    def next_delay(self, attempts: int, age: timedelta) -> timedelta | None:
        """Return the pause after attempt number ``attempts`` (1 = first), None to give up."""
        if age >= self.give_up:
            return None
        return self.delays[min(attempts, len(self.delays)) - 1]

    def spread(self, delay: timedelta, chance: float) -> timedelta:
        """Return ``delay`` made longer by ``chance``, a number from 0 to 1."""
        return delay * (1 + self.jitter * chance)

    def is_warning_due(self, age: timedelta, *, warned: bool) -> bool:
        """True if the sender should be told of the delay now."""
        return self.warn_after is not None and not warned and age >= self.warn_after
