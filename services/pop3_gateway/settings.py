"""What pop3-gateway is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from pop3_gateway.house import Limits
from posthouse.runtime.logins import LoginSettings
from posthouse.runtime.rate_settings import RateSetting, RateSettings, parse_rate
from posthouse.runtime.settings import Port


class Pop3Settings(RateSettings, LoginSettings):
    """The settings of this service beside the common ones.

    Attributes:
        pop3_host: The address both listeners take.
        pop3_port: Plaintext and STLS; 0 is off.
        pop3s_port: Implicit TLS (RFC 8314 §3.2); 0 is off.
        plaintext_auth: Clients on this machine may log in without TLS.
        pop3_connections: At once.
        pop3_connections_per_client: At once from one client.
        rate_pop3_connections: Connections of one client network in a time.
        pop3_idle_seconds: How long a client may say nothing (RFC 1939 §3).
        auth_failure_seconds: How long the first wrong password of a client network is thought
            about; doubled with each.
    """

    pop3_host: str = "127.0.0.1"
    pop3_port: Port = 110
    pop3s_port: Port = 995
    plaintext_auth: bool = False
    pop3_connections: Annotated[int, Field(ge=1, le=100_000)] = 1000
    pop3_connections_per_client: Annotated[int, Field(ge=1, le=100_000)] = 50
    rate_pop3_connections: RateSetting = parse_rate("3000/1m")
    pop3_idle_seconds: Annotated[float, Field(ge=600, le=86_400)] = 600.0
    auth_failure_seconds: Annotated[float, Field(ge=0, le=60)] = 1.0

    @property
    def limits(self) -> Limits:
        """What a client may cost us."""
        return Limits(
            connections=self.pop3_connections,
            connections_per_client=self.pop3_connections_per_client,
            silence=timedelta(seconds=self.pop3_idle_seconds),
            login_delay=timedelta(seconds=self.auth_failure_seconds),
        )
