"""How we behave towards servers: our name, our patience, our TLS."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from delivery_remote.routes import Tls
from posthouse.runtime.tls import client_context


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long we wait, in seconds; the least that RFC 5321 §4.5.3.2 asks for.

    Attributes:
        connect: For the TCP connection (no RFC says; others wait as long).
        greeting: For 220 (§4.5.3.2.1), and for EHLO, STARTTLS and AUTH.
        command: For the replies to MAIL and RCPT (§4.5.3.2.2, §4.5.3.2.3).
        data: For 354 (§4.5.3.2.4).
        block: For each piece of the message to be taken (§4.5.3.2.5).
        end: For the reply to the final dot (§4.5.3.2.6).
        goodbye: For the reply to QUIT.
    """

    connect: float = 30.0
    greeting: float = 300.0
    command: float = 300.0
    data: float = 120.0
    block: float = 180.0
    end: float = 600.0
    goodbye: float = 5.0

    def at_most(self, seconds: float) -> Patience:
        """Return the same, none longer than ``seconds``."""
        names = ("connect", "greeting", "command", "data", "block", "end", "goodbye")
        return Patience(**{name: min(getattr(self, name), seconds) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """What all our sessions have in common.

    Attributes:
        hostname: What we say in EHLO (RFC 5321 §4.1.1.1).
        patience: How long we wait.
        opportunistic: TLS with anybody.
        verified: TLS with a server whose certificate fits its name.
    """

    hostname: str
    patience: Patience = Patience()
    opportunistic: ssl.SSLContext = field(default_factory=lambda: client_context(verify=False))
    verified: ssl.SSLContext = field(default_factory=client_context)

    def context(self, tls: Tls) -> ssl.SSLContext:
        """Return the context for a session that must be like ``tls``."""
        return self.opportunistic if tls is Tls.OPPORTUNISTIC else self.verified


def manners(hostname: str, patience: Patience, authorities: Path | None) -> Manners:
    """Return `Manners` that trust the roots in ``authorities``, or those of the system."""
    return Manners(
        hostname=hostname, patience=patience, verified=client_context(authorities=authorities)
    )
