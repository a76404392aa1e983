"""What all sessions of a process share."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address

from pop3_gateway.maildrops import Maildrops
from posthouse.credentials.authenticator import Authenticator
from posthouse.credentials.exchange import Channel
from posthouse.credentials.failures import Failures
from posthouse.mail.encryption import Tls
from posthouse.runtime.rate_settings import Turnstile


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may cost us.

    Attributes:
        connections: Of the process.
        connections_per_client: Of these, from one client network.
        silence: How long a client may say nothing or not take what we send (RFC 1939 §3: at
            least 10 minutes).
        before_login: How long it may stay without logging in.
        login_failures: In one connection, before it is ended.
        login_delay: Before the answer to the first failure of a client's network; doubled with each.
        farewell: How long a logged-in client may be silent once we are stopping.
    """

    connections: int = 1000
    connections_per_client: int = 50
    silence: timedelta = timedelta(minutes=10)
    before_login: timedelta = timedelta(minutes=2)
    login_failures: int = 3
    login_delay: timedelta = timedelta(seconds=1)
    farewell: timedelta = timedelta(seconds=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """See the names.

    Attributes:
        maildrops: Where the mail is.
        authenticator: Tells who somebody is.
        certificate: For STLS; None if TLS is not offered.
        is_plaintext_allowed: Clients on this machine may log in without TLS.
        limits: What a client may cost us.
        failures: Of logins, over all connections.
        turnstile: Counts connections, and says which clients are one.
    """

    maildrops: Maildrops
    authenticator: Authenticator
    certificate: ssl.SSLContext | None
    is_plaintext_allowed: bool
    limits: Limits
    failures: Failures = field(default_factory=Failures)
    turnstile: Turnstile = field(default_factory=Turnstile)

    def channel_of(self, peer: str, tls: Tls | None) -> Channel:
        """Return what is known of a connection."""
        trusted = self.is_plaintext_allowed and _is_loopback(peer)
        return Channel(service="pop", client=peer, tls=tls, is_trusted=trusted)


def _is_loopback(peer: str) -> bool:
    try:
        return ip_address(peer).is_loopback
    except ValueError:
        return False
