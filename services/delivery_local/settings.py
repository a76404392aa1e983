"""What delivery-local is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from posthouse.mail.address import BadAddress, parse_address
from posthouse.mail.timetable import Timetable
from posthouse.runtime.durations import Duration, Durations, timetable
from posthouse.runtime.settings import CommonSettings


def _address(text: str) -> str:
    try:
        return str(parse_address(text)) if text else ""
    except BadAddress as bad:
        raise ValueError("must be a mail address") from bad


class LocalSettings(CommonSettings):
    """The settings of this service beside the common ones.

    Attributes:
        local_batch: The most envelopes filed in one transaction.
        local_concurrency: Transactions at once.
        retry_delays: The pauses after the first, second ... attempt; the last one repeats.
        warn_after: Age at which the sender is told that the mail is late; 0 for never.
        give_up: Age at which a recipient is bounced.
        bounce_give_up: The same for mail with the null sender.
        double_bounce_address: Who is told when there is no sender; empty for nobody.
    """

    local_batch: Annotated[int, Field(ge=1, le=1000)] = 100
    local_concurrency: Annotated[int, Field(ge=1, le=32)] = 2
    retry_delays: Durations = tuple(timedelta(minutes=m) for m in (5, 15, 30, 60, 120, 240))
    warn_after: Duration = timedelta(hours=4)
    give_up: Duration = timedelta(days=5)
    bounce_give_up: Duration = timedelta(days=1)
    double_bounce_address: Annotated[str, AfterValidator(_address)] = ""

    @property
    def timetable(self) -> Timetable:
        """For mail with a sender."""
        return timetable(self.retry_delays, self.warn_after, self.give_up)

    @property
    def bounce_timetable(self) -> Timetable:
        """For mail with the null sender."""
        return timetable(self.retry_delays, timedelta(), min(self.bounce_give_up, self.give_up))
