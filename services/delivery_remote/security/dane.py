"""DANE for SMTP: does what a server shows match its TLSA records? Pure (RFC 6698, RFC 7671, RFC 7672).

Of the four usages SMTP knows two (RFC 7672 §3.1): DANE-EE(3), the server's own certificate or key,
whatever name and date it says, and DANE-TA(2), an authority that issued it for one of the names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import verification

from posthouse.mail.tls_words import Failure, Fault, Tlsa

DANE_TA, DANE_EE = 2, 3  # RFC 7218 §2.1
CERTIFICATE, KEY = 0, 1  # §2.2
FULL, SHA256, SHA512 = 0, 1, 2  # §2.3
MAX_CHAIN = 10  # certificates of a server that are looked at
MAX_RECORDS = 20  # of a host
_DIGEST_OCTETS = {SHA256: 32, SHA512: 64}


def usable(records: Iterable[Tlsa]) -> tuple[Tlsa, ...]:
    """Return the records that SMTP can use (RFC 7672 §3.1.3), the strongest digests only.

    RFC 7671 §9: of one usage and selector, SHA-256 does not count beside SHA-512.
    """
    known = [record for record in records if _is_known(record)]
    strong = {(each.usage, each.selector) for each in known if each.matching == SHA512}
    return tuple(
        record
        for record in known
        if record.matching != SHA256 or (record.usage, record.selector) not in strong
    )[:MAX_RECORDS]


def _is_known(record: Tlsa) -> bool:
    if record.usage not in {DANE_TA, DANE_EE} or record.selector not in {CERTIFICATE, KEY}:
        return False
    if record.matching == FULL:
        return bool(record.data)
    return len(record.data) == _DIGEST_OCTETS.get(record.matching)


def objection(
    records: Sequence[Tlsa], names: Sequence[str], chain: Sequence[bytes], now: datetime
) -> Fault | None:
    """Return what is wrong with ``chain`` (DER, the server's own first); None if a record matches.

    Args:
        records: Those that are `usable`.
        names: Whom an authority's certificate may be for (RFC 7672 §3.2.2).
        chain: As the server showed it.
        now: Dates count for DANE-TA only (RFC 7671 §5.1).
    """
    try:
        shown = [x509.load_der_x509_certificate(der) for der in chain[:MAX_CHAIN]]
    except ValueError as broken:
        return Fault(Failure.VALIDATION, f"the certificate cannot be read: {broken}")
    if not shown:
        return Fault(Failure.VALIDATION, "the server showed no certificate")
    if any(each.usage == DANE_EE and matches(each, shown[0]) for each in records):
        return None
    anchors = _anchors([each for each in records if each.usage == DANE_TA], shown[1:])
    if not anchors:
        return Fault(Failure.VALIDATION, "no TLSA record matches the certificate (DANE)")
    return _issued_by(anchors, names, shown, now)


def matches(record: Tlsa, certificate: x509.Certificate) -> bool:
    """True if ``record`` speaks of ``certificate`` (RFC 6698 §2.1.2, §2.1.3)."""
    if record.selector == KEY:
        selected = key_of(certificate)
    else:
        selected = certificate.public_bytes(Encoding.DER)
    if record.matching == FULL:
        return selected == record.data
    name = "sha256" if record.matching == SHA256 else "sha512"
    return hashlib.new(name, selected).digest() == record.data


def key_of(certificate: x509.Certificate) -> bytes:
    """Return the SubjectPublicKeyInfo in DER."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _anchors(
    records: Sequence[Tlsa], above: Sequence[x509.Certificate]
) -> tuple[x509.Certificate, ...]:
    """Return the authorities that records name: shown, or whole in the record itself."""
    shown = [each for each in above if any(matches(record, each) for record in records)]
    for record in records:
        if (record.selector, record.matching) == (CERTIFICATE, FULL):
            try:
                shown.append(x509.load_der_x509_certificate(record.data))
            except ValueError:  # a record that nothing can match
                continue
    return tuple(shown)


def _issued_by(
    anchors: Sequence[x509.Certificate],
    names: Sequence[str],
    shown: Sequence[x509.Certificate],
    now: datetime,
) -> Fault | None:
    """Return why no anchor issued the server's certificate for one of ``names``; None if one did."""
    leaf, between = shown[0], list(shown[1:])
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        return Fault(Failure.EXPIRED, f"the certificate ended on {leaf.not_valid_after_utc:%F}")
    trust = (
        verification.PolicyBuilder()
        .store(verification.Store(list(anchors)))
        .time(now)
        .max_chain_depth(MAX_CHAIN)
        .extension_policies(ca_policy=_AUTHORITY, ee_policy=_SERVER)
    )
    why = "there is no name to be for"
    for name in names:
        try:
            trust.build_server_verifier(x509.DNSName(name)).verify(leaf, between)
        except (verification.VerificationError, ValueError) as wrong:
            why = str(wrong)
        else:
            return None
    failure = Failure.HOST_MISMATCH if "subject" in why.lower() else Failure.NOT_TRUSTED
    return Fault(failure, f"not issued by what the TLSA records name: {why}")


def _may_issue(
    _policy: verification.Policy, _certificate: x509.Certificate, found: x509.BasicConstraints
) -> None:
    if not found.ca:
        raise ValueError("the issuer is no authority")


# RFC 7672 §3.1.2: authorities are often private ones, without what the web's must have.
_AUTHORITY = verification.ExtensionPolicy.permit_all().require_present(
    x509.BasicConstraints, verification.Criticality.AGNOSTIC, _may_issue
)
_SERVER = verification.ExtensionPolicy.permit_all().require_present(
    x509.SubjectAlternativeName, verification.Criticality.AGNOSTIC, None
)
