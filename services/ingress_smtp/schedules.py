"""Schedules: mail that is held before it starts, and mail with a deadline (RFC 4865, RFC 2852). Pure.

Only submission holds mail (RFC 4865 §3): an account asks for it, and has so much room for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ingress_smtp import replies
from ingress_smtp.replies import Reply, say
from posthouse.mail.handling import Handling
from posthouse.mail.schedule import Deadline, deadline_of, release_of, utc

TOO_FAR = say("501 5.5.4 Cannot hold mail for so long")
LATE_BEFORE_IT_STARTS = say("501 5.5.4 The time to deliver would be over before the release")
TOO_SOON = say("555 5.5.4 Cannot promise delivery within so short a time")  # RFC 2852 §4.1.1
TOO_MANY_OF_YOURS = say("554 5.7.16 Too many mails of yours are held")  # RFC 4865 §5
TOO_MANY = say("554 5.7.17 Too many mails are held")  # RFC 4865 §5


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedules:
    """What one listener offers.

    Attributes:
        longest: How long mail is held at most; zero: it is not (no FUTURERELEASE).
        delivers_by: Mail may have a deadline (DELIVERBY).
        shortest: In which a mail that would be returned can be delivered (RFC 2852 §3); zero tells
            nothing of it.
        clock: Tells the time.
    """

    longest: timedelta = timedelta()
    delivers_by: bool = False
    shortest: timedelta = timedelta()
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def offers(self) -> tuple[str, ...]:
        """Return the keywords of EHLO; the latest date is told by the minute, so it may be kept."""
        offers: list[str] = []
        if self.longest:
            latest = (self.clock() + self.longest).replace(second=0, microsecond=0)
            offers.append(f"FUTURERELEASE {self.longest // timedelta(seconds=1)} {utc(latest)}")
        if self.delivers_by:
            least = self.shortest // timedelta(seconds=1)
            offers.append(f"DELIVERBY {least}" if least else "DELIVERBY")
        return tuple(offers)

    def objection(self, asked: Handling) -> Reply | None:
        """Return why mail is not taken on these terms."""
        if not (asked.hold or asked.by):
            return None
        if (asked.hold and not self.longest) or (asked.by and not self.delivers_by):
            return replies.UNKNOWN_PARAMETER
        now = self.clock()
        release, deadline = release_of(asked.hold, now), deadline_of(asked.by, now)
        if release - now > self.longest:
            return TOO_FAR
        return None if deadline is None else self._impossible(deadline, release, now)

    def _impossible(self, deadline: Deadline, release: datetime, now: datetime) -> Reply | None:
        """Mode R is not taken where the mail would only be returned (RFC 2852 §4.1.1)."""
        if not deadline.returns:
            return None
        if deadline.at <= release:
            return LATE_BEFORE_IT_STARTS
        return TOO_SOON if deadline.at - now < self.shortest else None


NO_SCHEDULES = Schedules()
