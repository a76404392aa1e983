"""Certificates as a test wants them: an authority, one between, servers; good, expired, misnamed."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from posthouse.mail.tls_words import Tlsa


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, and those above it, its own issuer first."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def chain(self) -> list[bytes]:
        """What a server shows, in DER."""
        return [self.der, *(each.public_bytes(Encoding.DER) for each in self.above)]

    def issue(
        self,
        *names: str,
        ca: bool = False,
        ends: timedelta = timedelta(days=30),
    ) -> Issued:
        """Issue a certificate for ``names``, or for an authority."""
        return _issued(names or ("between",), self, ca=ca, ends=ends)

    def tlsa(self, usage: int, selector: int = 1, matching: int = 1) -> Tlsa:
        """Return a record that speaks of this certificate."""
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        selected = (
            self.certificate.public_key().public_bytes(Encoding.DER, spki) if selector else self.der
        )
        if matching:
            digest = hashes.Hash(hashes.SHA256() if matching == 1 else hashes.SHA512())
            digest.update(selected)
            selected = digest.finalize()
        return Tlsa(usage, selector, matching, selected)

    def pem(self, path: Path) -> Path:
        """Write certificate, those above and key into ``path``."""
        key = self.key.private_bytes(
            Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        shown = (self.certificate, *self.above)
        path.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in shown) + key)
        return path

    def server(self, folder: Path) -> ssl.SSLContext:
        """Return the context of a server that shows it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        name = f"{self.certificate.serial_number}.pem"
        context.load_cert_chain(self.pem(folder / name))
        return context


def authority(name: str = "A test's own authority") -> Issued:
    """Return a new root."""
    return _issued((name,), None, ca=True, ends=timedelta(days=3650))


def _issued(names: Sequence[str], by: Issued | None, *, ca: bool, ends: timedelta) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    issuer = by.certificate.subject if by else subject
    now = datetime.now(UTC)
    signer = by.key if by else key
    draft = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if not ca:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        draft = draft.add_extension(alternative, critical=False)
    above = (by.certificate, *by.above) if by else ()
    return Issued(draft.sign(signer, hashes.SHA256()), key, above)
