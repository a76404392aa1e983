"""Schedules: mail that is held before it starts, and mail with a deadline (RFC 4865, RFC 2852). Pure.

Only submission holds mail (RFC 4865 §3 (7), §4.2 (2); port 465 is submission too, RFC 8314 §3.3): an
account asks for it, and has so much room for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ingress_smtp import replies
from ingress_smtp.replies import Reply, say
from posthouse.mail.handling import Handling
from posthouse.mail.schedule import Deadline, deadline_of, release_of, utc

MINUTE = timedelta(minutes=1)
TOO_FAR = say("501 5.5.4 Cannot hold mail for so long")  # RFC 4865 §4.2 (10), (11)
IS_OVER = say("501 5.5.4 The time of the release is over")  # RFC 4865 §3 (4), §4.2 (8)
LATE_BEFORE_IT_STARTS = say(  # RFC 4865 §5.2.2
    "501 5.5.4 The time to deliver would be over before the release"
)
TOO_SOON = say("555 5.5.4 Cannot promise delivery within so short a time")  # RFC 2852 §3, §4
TOO_MANY_OF_YOURS = say("552 5.7.16 Too many mails of yours are held")  # RFC 4865 §6 (4), (5)
TOO_MANY = say("552 5.7.17 Too many mails are held")  # RFC 4865 §6 (5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedules:
    """What one listener offers.

    Attributes:
        longest: How long mail is held at most; zero: it is not (no FUTURERELEASE).
        delivers_by: Mail may have a deadline (DELIVERBY).
        shortest: In which a mail that would be returned can be delivered (RFC 2852 §2 (3), §3); zero
            tells nothing of it.
        clock: Tells the time.
    """

    longest: timedelta = timedelta()
    delivers_by: bool = False
    shortest: timedelta = timedelta()
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def offers(self) -> tuple[str, ...]:
        """Return the keywords of EHLO (RFC 4865 §3 (3), RFC 2852 §2 (3))."""
        offers: list[str] = []
        if self.longest:
            latest = utc(self._latest(self.clock()))
            offers.append(f"FUTURERELEASE {self.longest // timedelta(seconds=1)} {latest}")
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
        if asked.hold and (wrong := self._no_release(asked.hold, release, now)):
            return wrong
        return None if deadline is None else self._no_deadline(deadline, release, now)

    def _latest(self, now: datetime) -> datetime:
        """Return the most remote date: by the whole minute, so an answer to EHLO may be kept."""
        return (now + self.longest + MINUTE).replace(second=0, microsecond=0)

    def _no_release(self, hold: str, release: datetime, now: datetime) -> Reply | None:
        """What is longer or later than EHLO tells, or not in the future (RFC 4865 §4.2 (7), (8))."""
        if release > (now + self.longest if hold.startswith("for;") else self._latest(now)):
            return TOO_FAR
        return IS_OVER if release <= now else None

    def _no_deadline(self, deadline: Deadline, release: datetime, now: datetime) -> Reply | None:
        """Held beyond its deadline, in either mode (RFC 4865 §5.2), or mode R with too little time."""
        if now < release and deadline.at <= release:
            return LATE_BEFORE_IT_STARTS
        return TOO_SOON if deadline.returns and deadline.at - now < self.shortest else None


NO_SCHEDULES = Schedules()
