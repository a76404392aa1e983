"""What a session must be like, and how a server proves who it is. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias, assert_never

from cryptography import x509

from delivery_remote.security import dane
from posthouse.mail.tls_words import Failure, Fault, PolicyType, Tlsa

When: TypeAlias = Literal["never", "may", "must"]


@dataclass(frozen=True, slots=True)
class Anybody:
    """No proof: whoever answers is believed (RFC 7435)."""


@dataclass(frozen=True, slots=True)
class Named:
    """A certificate of a trusted authority, for the host's name; the handshake sees to it."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """A certificate, or a key, whose SHA-256 is one of ``pins``."""

    pins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What TLSA records say (RFC 7672).

    Attributes:
        records: Usable ones; never empty.
        names: The base domain of the records, which is also asked for by SNI (RFC 7672 §8.1), then
            others that an authority's certificate may be for.
    """

    records: tuple[Tlsa, ...]
    names: tuple[str, ...]


Proof: TypeAlias = Anybody | Named | Pinned | Recorded
ANYBODY, NAMED = Anybody(), Named()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The policy that a destination publishes, as reports show it (RFC 8460 §4.4).

    Attributes:
        kind: Which of those that RFC 8460 knows; what operators set is none of them.
        domain: Whose; empty if sessions are not to be reported on.
        lines: The records, or the lines of the policy.
    """

    kind: PolicyType = "no-policy-found"
    domain: str = ""
    lines: tuple[str, ...] = ()


UNREPORTED = Policy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What sessions with one server must be like.

    Attributes:
        when: TLS never, with whom it works, or always.
        proof: What is asked of the server where TLS is a must.
        certificate: Our client certificate is shown to who asks for one.
        objection: Why the server is not to be talked to at all; None: it is.
        is_tested: If it fails the mail goes all the same; the failure is reported (RFC 8461 §5).
        name: Of the policy, for logs and the trace.
        policy: For reports.
    """

    when: When = "may"
    proof: Proof = NAMED
    certificate: bool = False
    objection: Fault | None = None
    is_tested: bool = False
    name: str = field(default="may", compare=False)
    policy: Policy = field(default=UNREPORTED, compare=False)


MAY = Demand()


def server_name(proof: Proof, host: str) -> str:
    """Return whom we ask for by SNI."""
    return proof.names[0] if isinstance(proof, Recorded) else host


def objection(proof: Proof, chain: Sequence[bytes], now: datetime) -> Fault | None:
    """Return what is wrong with the certificates that a server showed (DER, its own first).

    The handshake has verified those that must lead to a trusted authority (`Named`).
    """
    match proof:
        case Anybody() | Named():
            return None
        case Pinned(pins=pins):
            return _unpinned(pins, chain)
        case Recorded(records=records, names=names):
            return dane.objection(records, names, chain, now)
        case _:
            assert_never(proof)


def _unpinned(pins: Sequence[str], chain: Sequence[bytes]) -> Fault | None:
    if not chain:
        return Fault(Failure.VALIDATION, "the server showed no certificate")
    shown = [hashlib.sha256(chain[0]).hexdigest()]
    if shown[0] not in pins:
        try:
            key = dane.key_of(x509.load_der_x509_certificate(chain[0]))
        except ValueError as broken:
            return Fault(Failure.VALIDATION, f"the certificate cannot be read: {broken}")
        shown.append(hashlib.sha256(key).hexdigest())
    if set(shown) & set(pins):
        return None
    told = f"certificate {shown[0]}, key {shown[-1]}"
    return Fault(Failure.NOT_TRUSTED, f"the fingerprint is not the one that was set: {told}")
