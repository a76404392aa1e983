"""One certificate of ours as a context for handshakes, and what binds a channel to it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256, HashAlgorithm

Version: TypeAlias = Literal["1.2", "1.3"]
_VERSIONS: Mapping[Version, ssl.TLSVersion] = {
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate's chain and its private key, both in PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsTerms:
    """How we shake hands.

    Attributes:
        minimum: The oldest version; what is older than 1.2 is not spoken at all (RFC 8996).
        ciphers: OpenSSL's names for TLS 1.2; empty for its own choice.
        authorities: Clients are asked for a certificate of one of these (PEM), and one that shows
            another's is turned away; None asks nobody.
    """

    minimum: Version = "1.2"
    ciphers: str = ""
    authorities: Path | None = None


class CertificateContext(ssl.SSLContext):
    """A context that shows one certificate.

    Attributes:
        names: Whom it is for, in lower case, ``*.example.org`` among them.
        expires: When, in seconds of Unix time.
        end_point: The hash of the certificate that binds a channel to it (RFC 5929 §4.1).
    """

    names: tuple[str, ...]
    expires: float
    end_point: bytes


def plain_context(terms: TlsTerms) -> CertificateContext:
    """Return a context that has no certificate yet.

    Raises:
        OSError: The authorities cannot be read.
        ssl.SSLError: They are none, or the ciphers are unknown.
    """
    context = CertificateContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[terms.minimum]
    context.options |= ssl.OP_NO_RENEGOTIATION
    if terms.ciphers:
        context.set_ciphers(terms.ciphers)
    if terms.authorities is not None:
        context.load_verify_locations(terms.authorities)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def own_context(pair: Pair, terms: TlsTerms) -> CertificateContext:
    """Return the context that shows ``pair``.

    Raises:
        OSError: A file cannot be read.
        ssl.SSLError: The two do not fit together.
        ValueError: A file is no certificate.
    """
    context = plain_context(terms)
    context.load_cert_chain(pair.certificate, pair.key)
    certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    context.names = _names(certificate)
    context.expires = certificate.not_valid_after_utc.timestamp()
    context.end_point = end_point(certificate)
    return context


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the dNSNames of subjectAltName; a common name is no longer one (RFC 9525 §2)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in found.value.get_values_for_type(x509.DNSName))


def end_point(certificate: x509.Certificate) -> bytes:
    """Return ``tls-server-end-point`` of ``certificate`` (RFC 5929 §4.1).

    Its hash function is the one that the certificate is signed with; SHA-256 for MD5 and SHA-1,
    and for signatures that have none of their own (Ed25519), as others do.
    """
    signed: HashAlgorithm | None = certificate.signature_hash_algorithm
    return certificate.fingerprint(
        SHA256() if signed is None or isinstance(signed, MD5 | SHA1) else signed
    )
