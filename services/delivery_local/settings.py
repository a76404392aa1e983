"""What delivery-local is told."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from posthouse.runtime.retrying import RetryingSettings


class LocalSettings(RetryingSettings):
    """The settings of this service beside those it shares.

    Attributes:
        local_batch: The most envelopes filed in one transaction.
        local_concurrency: Transactions at once.
    """

    local_batch: Annotated[int, Field(ge=1, le=1000)] = 100
    local_concurrency: Annotated[int, Field(ge=1, le=32)] = 2
