"""What ingress-smtp is told of mail that is held, and of mail with a deadline."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from ingress_smtp.holding import Room
from ingress_smtp.schedules import Schedules
from ingress_smtp.terms import Role
from posthouse.mail.schedule import MAX_SECONDS
from posthouse.runtime.settings import CommonSettings


class ScheduleSettings(CommonSettings):
    """When mail may start, and must have arrived.

    Attributes:
        future_release_seconds_max: How long an account may have a mail held; 0 offers nothing.
        future_release_account_max: Mails held at once of one account.
        future_release_max: Mails held at once of all.
        deliver_by: Whether mail may have a deadline.
        deliver_by_seconds_min: The shortest in which mail that would be returned is taken.
    """

    future_release_seconds_max: Annotated[int, Field(ge=0, le=MAX_SECONDS)] = 2_592_000  # 30 days
    future_release_account_max: Annotated[int, Field(ge=1)] = 1000
    future_release_max: Annotated[int, Field(ge=1)] = 100_000
    deliver_by: Literal["off", "on"] = "on"
    deliver_by_seconds_min: Annotated[int, Field(ge=0, le=MAX_SECONDS)] = 0

    def schedules(self, role: Role) -> Schedules:
        """Return what a listener of ``role`` offers."""
        longest = self.future_release_seconds_max if role == "submission" else 0
        return Schedules(
            longest=timedelta(seconds=longest),
            delivers_by=self.deliver_by == "on" and role != "lmtp",
            shortest=timedelta(seconds=self.deliver_by_seconds_min),
        )

    @property
    def room(self) -> Room:
        """How much may be held."""
        return Room(account=self.future_release_account_max, whole=self.future_release_max)
