"""What ingress-smtp is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from ingress_smtp.courtesy_settings import CourtesySettings
from ingress_smtp.greeting_settings import GreetingSettings
from ingress_smtp.hygiene_settings import HygieneSettings
from ingress_smtp.limit_settings import LimitSettings
from ingress_smtp.schedule_settings import ScheduleSettings
from ingress_smtp.spool_settings import SpoolSettings
from posthouse.bus.ask import parse_endpoint
from posthouse.runtime.logins import LoginSettings
from posthouse.runtime.settings import Port


def _endpoints(text: str) -> str:
    for endpoint in text.split(","):
        try:
            parse_endpoint(endpoint)
        except ValueError as wrong:
            raise ValueError("must look like host:port,host:port") from wrong
    return text


class IngressSettings(
    CourtesySettings,
    GreetingSettings,
    HygieneSettings,
    ScheduleSettings,
    SpoolSettings,
    LoginSettings,
    LimitSettings,
):
    """The settings of this service beside the common ones.

    Attributes:
        smtp_host: Where all listen but LMTP.
        smtp_port: Mail from other servers; 0 is off.
        submission_port: Mail from accounts, STARTTLS; 0 is off.
        smtps_port: Mail from accounts, TLS from the first octet; 0 is off.
        policy_endpoints: Who answers questions; a name stands for all its addresses.
        policy_seconds: How long an answer may take.
        content_seconds: How long policy may take to judge a message, and once more where it has to see
            all of a large one; the client waits ten minutes (RFC 5321 §4.5.3.2.6).
        message_octets_max: Larger messages are refused (SIZE).
        recipients_max: More recipients in one transaction are deferred.
        sessions_max: More connections at once are sent away.
        sessions_per_client_max: More from one client are, too.
        reception_octets_max: Octets of messages in reception in memory, over all sessions; it
            takes up to three times as much memory.
        idle_seconds: How long a client may keep us waiting, and take for one command line.
        message_seconds: How long it may take for one message, however steadily it drips.
        auth_failure_seconds: How long the first failed login of a client network takes; doubled with
            each.
    """

    smtp_host: str = "127.0.0.1"
    smtp_port: Port = 25
    submission_port: Port = 587
    smtps_port: Port = 465
    policy_endpoints: Annotated[str, AfterValidator(_endpoints)]
    policy_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    content_seconds: Annotated[float, Field(gt=0, le=240)] = 30.0  # asked twice at most, of 10 min
    message_octets_max: Annotated[int, Field(ge=1024, le=2_000_000_000)] = 52_428_800
    recipients_max: Annotated[int, Field(ge=1, le=10_000)] = 1000  # RFC 5321 §4.5.3.1.8 asks 100
    sessions_max: Annotated[int, Field(ge=1, le=100_000)] = 1000
    sessions_per_client_max: Annotated[int, Field(ge=1, le=100_000)] = 250
    reception_octets_max: Annotated[int, Field(ge=65_536)] = 268_435_456
    idle_seconds: Annotated[float, Field(ge=1, le=3600)] = 300.0  # RFC 5321 §4.5.3.2.7
    message_seconds: Annotated[float, Field(ge=1, le=86_400)] = 1800.0  # 30 kB/s for the largest
    auth_failure_seconds: Annotated[float, Field(ge=0, le=60)] = 1.0

    @model_validator(mode="after")
    def _submission_needs_tls(self) -> Self:
        if (self.submission_port or self.smtps_port) and not self.tls_certificate:
            raise ValueError(
                "POSTHOUSE_TLS_CERTIFICATE: is missing: submission takes passwords under TLS only "
                "(or set POSTHOUSE_SUBMISSION_PORT and POSTHOUSE_SMTPS_PORT to 0)"
            )
        return self

    @property
    def policy_addresses(self) -> tuple[str, ...]:
        """The endpoints one by one."""
        return tuple(endpoint.strip() for endpoint in self.policy_endpoints.split(","))

    @property
    def deadline(self) -> timedelta:
        """For each question to policy."""
        return timedelta(seconds=self.policy_seconds)

    @property
    def content_deadline(self) -> timedelta:
        """For each question about a whole message."""
        return timedelta(seconds=self.content_seconds)
