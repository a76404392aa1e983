"""How we behave towards servers: our name, our patience, our TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import TypeAlias

from delivery_remote.routes import Target, Tls
from delivery_remote.security.contexts import Contexts, Trust
from delivery_remote.security.proofs import Named
from delivery_remote.session.narrowing import Workshop
from posthouse.mail.tls_words import Fault

Tell: TypeAlias = Callable[[Target, Fault | None], None]


def nobody(_target: Target, _fault: Fault | None) -> None:
    """Nobody counts how sessions went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long we wait, in seconds; the least that RFC 5321 §4.5.3.2 asks for.

    Attributes:
        connect: For the connection (no RFC says; others wait as long).
        greeting: For 220 (§4.5.3.2.1).
        hello: For the replies to EHLO, STARTTLS and AUTH, and for the handshake.
        mail: For the reply to MAIL (§4.5.3.2.2), and to RSET.
        rcpt: For each reply to RCPT (§4.5.3.2.3).
        data: For 354 (§4.5.3.2.4), and for the reply to a chunk that is not the last.
        block: For each piece of the message to be taken (§4.5.3.2.5).
        dot: For the reply to the final dot (§4.5.3.2.6), or to the last chunk.
        quit: For the reply to QUIT.
    """

    connect: float = 30.0
    greeting: float = 300.0
    hello: float = 300.0
    mail: float = 300.0
    rcpt: float = 300.0
    data: float = 120.0
    block: float = 180.0
    dot: float = 600.0
    quit: float = 5.0

    def at_most(self, seconds: float) -> Patience:
        """Return the same, none longer than ``seconds``."""
        names = [each.name for each in fields(self)]
        return Patience(**{name: min(getattr(self, name), seconds) for name in names})


class EightBit(Enum):
    """What becomes of 8-bit mail where 8BITMIME is not offered (RFC 6152 §3)."""

    CONVERT = "convert"  # into 7 bits; what must not be changed bounces
    BOUNCE = "bounce"  # as the RFC asks who converts nothing
    AS_IS = "as-is"  # most servers take it, and signatures stay valid


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What we do with what a server may offer.

    Attributes:
        chunked_from: Octets from which a message goes by BDAT where that is offered (RFC 3030).
        eight_bit: What becomes of 8-bit mail where 8BITMIME is not offered.
    """

    chunked_from: int = 65_536
    eight_bit: EightBit = EightBit.CONVERT

    def wants_seven_bits(self, offers: Mapping[str, str]) -> bool:
        """True if no 8-bit octets may go to a server that offers these."""
        return self.eight_bit is not EightBit.AS_IS and "8bitmime" not in offers

    def wants_chunks(self, size: int, offers: Mapping[str, str]) -> bool:
        """True if a message of ``size`` octets goes by BDAT."""
        return "chunking" in offers and size >= self.chunked_from


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """What all our sessions have in common.

    Attributes:
        hostname: What we say in EHLO (RFC 5321 §4.1.1.1).
        patience: How long we wait.
        rules: What we do with what servers offer.
        contexts: How we shake hands.
        workshop: Where 8-bit mail is converted.
        tell: Is told how the security of each session came out: what was wrong with it, or None.
    """

    hostname: str
    patience: Patience = Patience()
    rules: Rules = Rules()
    contexts: Contexts = field(default_factory=Contexts)
    workshop: Workshop = field(default_factory=Workshop)
    tell: Tell = nobody

    def context(self, target: Target) -> ssl.SSLContext:
        """Return the context for a session with ``target``."""
        trust = Trust.ANYBODY
        if target.tls is not Tls.OPPORTUNISTIC and isinstance(target.demand.proof, Named):
            trust = Trust.PUBLIC if target.login is None else Trust.OURS
        return self.contexts.get(trust, certificate=target.demand.certificate)
