"""Outages in the log: a line when something goes away, one a minute while it is, one at its end.

Attempts are many and say the same; what an operator wants to know is since when, why, and when it
was over.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.probes import Clock

REMINDER = timedelta(minutes=1)

log = get_logger()


class Outage:
    """One thing that may be away, and what is said of it."""

    def __init__(
        self, gone: str, back: str, *, clock: Clock = time.monotonic, **fields: object
    ) -> None:
        """Begin with it there.

        Args:
            gone: The event when it goes away, a warning.
            back: The event when it is back.
            clock: Seconds that only go forward.
            fields: What stands in every line.
        """
        self._gone = gone
        self._back = back
        self._clock = clock
        self._fields = fields
        self._since: float | None = None
        self._began = ""
        self._told = 0.0

    def away(self, reason: str) -> None:
        """It is away, perhaps still: a line at the first time, then at most one a minute."""
        now = self._clock()
        if self._since is None:
            self._since, self._began = now, datetime.now(UTC).isoformat()
        elif now - self._told < REMINDER.total_seconds():
            return
        self._told = now
        log.warning(self._gone, reason=reason, since=self._began, **self._fields)

    def over(self) -> bool:
        """It is there; True, and a line, if it was away."""
        if self._since is None:
            return False
        seconds, self._since = self._clock() - self._since, None
        log.info(self._back, after_seconds=round(seconds, 1), **self._fields)
        return True
