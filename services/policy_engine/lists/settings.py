"""What policy is told of lists and greylisting."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from posthouse.runtime.name_settings import NameSettings
from posthouse.storage.greylisting import GreylistTerms


class ListSettings(NameSettings):
    """Who is refused at the door, and who has to come again.

    Attributes:
        lists_refuse_at: So many points of lists in DNS refuse a recipient; none: they count for the
            score of the message only.
        lists_seconds: How long lists, and whatever else DNS is asked at the door, may take.
        greylisting: Who is not known has to come again, in domains that do not say otherwise.
        greylisting_delay_seconds: After so long.
        greylisting_window_hours: Within such a time.
        greylisting_lifetime_days: Who is known stays so for so long since they last came.
        greylisting_successes: So many mails that came again make a client's network known; 0: none.
        greylisting_spares_spf: Senders that SPF proves are not asked to come again.
    """

    lists_refuse_at: Annotated[float | None, Field(gt=0, le=10_000)] = None
    lists_seconds: Annotated[float, Field(gt=0, le=30)] = 1.5
    greylisting: bool = False
    greylisting_delay_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    greylisting_window_hours: Annotated[int, Field(ge=1, le=24 * 14)] = 48
    greylisting_lifetime_days: Annotated[int, Field(ge=1, le=400)] = 36
    greylisting_successes: Annotated[int, Field(ge=0, le=1_000_000)] = 5
    greylisting_spares_spf: bool = True

    @model_validator(mode="after")
    def _can_come_again(self) -> Self:
        terms = self.greylist_terms
        if not terms.delay < terms.window <= terms.lifetime:
            raise ValueError(
                "POSTHOUSE_GREYLISTING_DELAY_SECONDS, POSTHOUSE_GREYLISTING_WINDOW_HOURS and "
                "POSTHOUSE_GREYLISTING_LIFETIME_DAYS: each must be longer than the one before"
            )
        return self

    @property
    def greylist_terms(self) -> GreylistTerms:
        """How long one waits."""
        return GreylistTerms(
            delay=timedelta(seconds=self.greylisting_delay_seconds),
            window=timedelta(hours=self.greylisting_window_hours),
            lifetime=timedelta(days=self.greylisting_lifetime_days),
            successes=self.greylisting_successes,
        )

    @property
    def lists_patience(self) -> timedelta:
        """For each question to DNS at the door."""
        return timedelta(seconds=self.lists_seconds)
