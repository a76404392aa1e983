"""What the postmaster reads from its environment, once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from posthouse.runtime.logins import KeySettings
from posthouse.runtime.suppression_settings import SuppressionSettings

MIN_TOKEN_CHARACTERS = 16


class PostmasterSettings(KeySettings, SuppressionSettings):
    """Settings of the postmaster.

    Attributes:
        postmaster_host: Address the API listens on.
        postmaster_port: Port the API listens on; 0 switches the API off (duties only).
        api_token: Bearer token of the API; at least 16 characters.
        keep_days: Days after which settled mail leaves the ledger and the trace.
        sweep_seconds: Pause between two looks at what was committed and never published.
        sweep_after_seconds: Age from which an unpublished envelope is ours to publish.
        collect_after_days: Quarantine: days from the moment nothing refers to contents, and after
            acceptance, before the collector removes contents and objects.
        collect_hours: Pause between two walks of the collector.
        keep_changes: Steps of a mailbox's history that are kept for clients that come back.
    """

    postmaster_host: str = "127.0.0.1"
    postmaster_port: Annotated[int, Field(ge=0, le=65535)] = 2080
    api_token: Annotated[SecretStr, Field(min_length=MIN_TOKEN_CHARACTERS)]
    keep_days: Annotated[int, Field(ge=7)] = 90
    sweep_seconds: Annotated[float, Field(gt=0)] = 2.0
    sweep_after_seconds: Annotated[float, Field(ge=0)] = 10.0
    collect_after_days: Annotated[float, Field(ge=1)] = 7.0
    collect_hours: Annotated[float, Field(gt=0)] = 24.0
    keep_changes: Annotated[int, Field(ge=100)] = 10_000
