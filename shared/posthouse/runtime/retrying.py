"""The settings of the stations that try again, and the timetables made of them."""

from __future__ import annotations

from datetime import timedelta

from posthouse.mail.timetable import Timetable
from posthouse.runtime.durations import Duration, Durations, timetable
from posthouse.runtime.report_settings import ReportSettings


class RetryingSettings(ReportSettings):
    """What delivery-local and delivery-remote are told alike.

    Attributes:
        retry_delays: The pauses after the first, second ... attempt; the last one repeats.
        warn_after: Age at which the sender is told that the mail is late; 0 for never.
        give_up: Age at which a recipient is bounced.
        bounce_give_up: The same for mail with the null sender.
    """

    retry_delays: Durations = tuple(timedelta(minutes=m) for m in (5, 15, 30, 60, 120, 240))
    warn_after: Duration = timedelta(hours=4)
    give_up: Duration = timedelta(days=5)  # RFC 5321 §4.5.4.1: at least 4-5 days
    bounce_give_up: Duration = timedelta(days=1)

    @property
    def timetable(self) -> Timetable:
        """For mail with a sender."""
        return timetable(self.retry_delays, self.warn_after, self.give_up)

    @property
    def bounce_timetable(self) -> Timetable:
        """For mail with the null sender, which nobody waits for."""
        return timetable(self.retry_delays, timedelta(), min(self.bounce_give_up, self.give_up))
