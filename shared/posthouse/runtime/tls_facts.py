"""What a handshake agreed on, out of its transport (RFC 5056, RFC 5929, RFC 9266)."""

from __future__ import annotations

import _ssl
import asyncio
import ssl
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from posthouse.mail.encryption import Peer, Tls
from posthouse.runtime.tls_context import CertificateContext
from posthouse.runtime.tls_exporter import exported


def agreed(transport: asyncio.BaseTransport) -> Tls | None:
    """Return what the handshake of ``transport`` agreed on, None in plain text."""
    encrypted: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if encrypted is None:
        return None
    cipher, version = encrypted.cipher(), encrypted.version() or "TLS"
    shown = encrypted.getpeercert(binary_form=True)
    bindings: dict[str, bytes] = {}
    if isinstance(encrypted.context, CertificateContext):
        bindings["tls-server-end-point"] = encrypted.context.end_point
    # Under TLS 1.3 there is no tls-unique (RFC 9266 §3); OpenSSL would answer all the same.
    if version == "TLSv1.2" and (unique := encrypted.get_channel_binding("tls-unique")):
        bindings["tls-unique"] = unique
    if (exporter := exported(encrypted)) is not None:
        bindings["tls-exporter"] = exporter
    name = cipher[0] if cipher else "unknown"
    return Tls(version, name, peer_of(shown) if shown else None, bindings)


def chain_of(transport: asyncio.BaseTransport) -> tuple[bytes, ...]:
    """Return what the server of ``transport`` showed, in DER, its own certificate first.

    Nobody has verified it. Empty in plain text. Python 3.13 says it by a name of its own.
    """
    encrypted: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if encrypted is None:
        return ()
    inner: Any = encrypted._sslobj  # type: ignore[attr-defined] # noqa: SLF001 - see above
    shown = inner.get_unverified_chain() or ()
    return tuple(each.public_bytes(_ssl.ENCODING_DER) for each in shown)


def peer_of(encoded: bytes) -> Peer:
    """Return what a client's certificate, in DER, says; the handshake has verified it."""
    certificate = x509.load_der_x509_certificate(encoded)
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        emails = tuple(names.value.get_values_for_type(x509.RFC822Name))
    except x509.ExtensionNotFound:
        emails = ()
    return Peer(
        subject=certificate.subject.rfc4514_string(),
        common_name=str(common[0].value) if common else "",
        emails=emails,
        fingerprint=certificate.fingerprint(SHA256()).hex(),
    )
