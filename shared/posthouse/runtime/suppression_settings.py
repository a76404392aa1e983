"""The settings of those who put recipients on the suppression list."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from posthouse.runtime.durations import Duration
from posthouse.runtime.settings import CommonSettings
from posthouse.storage.suppressing import Terms


class SuppressionSettings(CommonSettings):
    """What delivery-remote and the postmaster are told alike.

    Attributes:
        suppress_after: So many hard bounces put a recipient on the list, where neither the account
            nor its domain says; one complaint does where bounces do. 0 for never: people who write
            to people hear of a bounce and mend the address; who sends in bulk does not.
        suppress_for: How long it stays there; older bounces do not count.
    """

    suppress_after: Annotated[int, Field(ge=0, le=1000)] = 0
    suppress_for: Duration = timedelta(days=30)

    @property
    def suppression(self) -> Terms:
        """When the house suppresses by itself."""
        return Terms(self.suppress_after, self.suppress_for)
