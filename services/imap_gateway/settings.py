"""What imap-gateway is told."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from posthouse.runtime.index_settings import IndexSettings
from posthouse.runtime.logins import LoginSettings
from posthouse.runtime.rate_settings import RateSetting, RateSettings, parse_rate
from posthouse.runtime.settings import Port
from posthouse.runtime.training_settings import TrainingSettings


class ImapSettings(RateSettings, LoginSettings, IndexSettings, TrainingSettings):
    """The settings of this service beside the common ones.

    Attributes:
        imap_host: Where both listen.
        imap_port: With STARTTLS; 0 is off.
        imaps_port: TLS from the first octet; 0 is off, and it is without a certificate.
        imap_plaintext_login: Take passwords without TLS; for tests and behind a TLS proxy.
        imap_connections_max: More connections are sent away.
        imap_client_connections_max: More from one client network are, too.
        imap_account_connections_max: More of one account are refused.
        imap_account_client_connections_max: And more of it from one client network.
        imap_idle_seconds: How long a client may be silent (RFC 3501 §5.4: at least 30 minutes).
        imap_login_seconds: How long a client may stay without logging in.
        imap_failure_seconds: How long the answer to the first failed login of a client network
            takes; doubled with each.
        imap_views_octets_max: What the mailboxes in memory may take; idle ones are dropped.
        rate_imap_connections: Connections of one client network.
        message_octets_max: The largest message that APPEND takes.
    """

    imap_host: str = "127.0.0.1"
    imap_port: Port = 143
    imaps_port: Port = 993
    imap_plaintext_login: bool = False
    imap_connections_max: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    imap_client_connections_max: Annotated[int, Field(ge=1, le=1_000_000)] = 5000
    imap_account_connections_max: Annotated[int, Field(ge=1, le=100_000)] = 100
    imap_account_client_connections_max: Annotated[int, Field(ge=1, le=100_000)] = 30
    imap_idle_seconds: Annotated[float, Field(ge=1, le=86_400)] = 1800.0
    imap_login_seconds: Annotated[float, Field(ge=1, le=3600)] = 60.0
    imap_failure_seconds: Annotated[float, Field(ge=0, le=60)] = 1.0
    imap_views_octets_max: Annotated[int, Field(ge=1_048_576, le=1_000_000_000_000)] = 268_435_456
    rate_imap_connections: RateSetting = parse_rate("3000/1m")
    message_octets_max: Annotated[int, Field(ge=65_536, le=2_000_000_000)] = 52_428_800
