"""How we behave towards servers: our name, our patience, our TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from delivery_remote.routes import Target, Tls
from delivery_remote.security.contexts import Contexts, Trust
from delivery_remote.security.proofs import Named
from posthouse.mail.tls_words import Fault

Tell: TypeAlias = Callable[[Target, Fault | None], None]


def nobody(_target: Target, _fault: Fault | None) -> None:
    """Nobody counts how sessions went."""


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
        contexts: How we shake hands.
        tell: Is told how the security of each session came out: what was wrong with it, or None.
    """

    hostname: str
    patience: Patience = Patience()
    contexts: Contexts = field(default_factory=Contexts)
    tell: Tell = nobody

    def context(self, target: Target) -> ssl.SSLContext:
        """Return the context for a session with ``target``."""
        trust = Trust.ANYBODY
        if target.tls is not Tls.OPPORTUNISTIC and isinstance(target.demand.proof, Named):
            trust = Trust.PUBLIC if target.login is None else Trust.OURS
        return self.contexts.get(trust, certificate=target.demand.certificate)


def manners(hostname: str, patience: Patience, authorities: Path | None) -> Manners:
    """Return `Manners` that trust the roots in ``authorities`` where a password follows."""
    return Manners(hostname=hostname, patience=patience, contexts=Contexts(authorities))
