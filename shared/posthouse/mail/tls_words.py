"""The words of TLS to servers outside: what operators set, what DNS publishes, how sessions fail."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["none", "may", "encrypt", "verify", "fingerprint", "dane-only"]
PolicyType: TypeAlias = Literal["tlsa", "sts", "no-policy-found"]  # RFC 8460 §4.4


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPolicy:
    """What an operator demands of sessions for a domain.

    Attributes:
        domain: Whose, as a pattern (`posthouse.mail.patterns`): the recipients' domain, or the name
            of a next hop; ``*`` for all others.
        level: ``none``: no TLS; ``may``: with anybody who can; ``encrypt``: always, with anybody;
            ``verify``: with a certificate of a trusted authority for the server's name;
            ``fingerprint``: with one of the ``pins``; ``dane-only``: with what TLSA records name that
            DNSSEC proves, and not at all without them.
        names: The servers that the domain may have, ``*.example.org`` for one label more; empty
            for whatever DNS says.
        pins: SHA-256 of the certificate, or of its public key (SubjectPublicKeyInfo), in hex.
        certificate: Our client certificate is shown to who asks for one.
    """

    domain: str
    level: Level
    names: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    certificate: bool = False


@dataclass(frozen=True, slots=True)
class Tlsa:
    """One TLSA record (RFC 6698 §2.1).

    Attributes:
        usage: 2 is DANE-TA, 3 is DANE-EE (RFC 7218 §2.1).
        selector: 0 is the certificate, 1 its public key.
        matching: 0 is all of it, 1 its SHA-256, 2 its SHA-512.
        data: What must be found.
    """

    usage: int
    selector: int
    matching: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"


class Failure(Enum):
    """How a session failed to be what a policy demands (RFC 8460 §4.3)."""

    STARTTLS_NOT_SUPPORTED = "starttls-not-supported"
    HOST_MISMATCH = "certificate-host-mismatch"
    EXPIRED = "certificate-expired"
    NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION = "validation-failure"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    DANE_REQUIRED = "dane-required"
    STS_FETCH = "sts-policy-fetch-error"
    STS_INVALID = "sts-policy-invalid"
    STS_WEBPKI = "sts-webpki-invalid"


@dataclass(frozen=True, slots=True)
class Fault:
    """What was wrong with one session.

    Attributes:
        failure: Its kind.
        why: In words, for the log, the ledger and the report.
    """

    failure: Failure
    why: str

    def __str__(self) -> str:
        return f"{self.failure.value}: {self.why}"
