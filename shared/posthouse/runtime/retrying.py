"""The settings of the stations that try again, and the timetables made of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from posthouse.mail.address import BadAddress, parse_address
from posthouse.mail.timetable import Timetable
from posthouse.runtime.bounces import RETURNED_OCTETS
from posthouse.runtime.durations import Duration, Durations, timetable
from posthouse.runtime.settings import CommonSettings


def _address(text: str) -> str:
    try:
        return str(parse_address(text)) if text else ""
    except BadAddress as bad:
        raise ValueError("must be a mail address") from bad


class RetryingSettings(CommonSettings):
    """What delivery-local and delivery-remote are told alike.

    Attributes:
        retry_delays: The pauses after the first, second ... attempt; the last one repeats.
        warn_after: Age at which the sender is told that the mail is late; 0 for never.
        give_up: Age at which a recipient is bounced.
        bounce_give_up: The same for mail with the null sender.
        double_bounce_address: Who is told when there is no sender; empty for nobody.
        return_octets_max: Larger mail never goes back whole with a report, only its header.
    """

    retry_delays: Durations = tuple(timedelta(minutes=m) for m in (5, 15, 30, 60, 120, 240))
    warn_after: Duration = timedelta(hours=4)
    give_up: Duration = timedelta(days=5)  # RFC 5321 §4.5.4.1: at least 4-5 days
    bounce_give_up: Duration = timedelta(days=1)
    double_bounce_address: Annotated[str, AfterValidator(_address)] = ""
    return_octets_max: Annotated[int, Field(ge=0, le=10_000_000)] = RETURNED_OCTETS

    @property
    def timetable(self) -> Timetable:
        """For mail with a sender."""
        return timetable(self.retry_delays, self.warn_after, self.give_up)

    @property
    def bounce_timetable(self) -> Timetable:
        """For mail with the null sender, which nobody waits for."""
        return timetable(self.retry_delays, timedelta(), min(self.bounce_give_up, self.give_up))
