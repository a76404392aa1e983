"""A certificate authority of one machine and one server certificate, made once.

They are for trying and testing: the key of the authority is thrown away as soon as it has signed.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = timedelta(days=397)  # CA/Browser Forum baseline; some clients refuse longer ones
_RENEW_BEFORE = timedelta(days=30)
_ADDRESSES = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """The files: what clients trust, what servers show, and the key to it."""

    authority: Path
    chain: Path
    key: Path


def certificates(folder: Path, names: Sequence[str]) -> Certificates:
    """Return the certificates in ``folder``, made anew if they are missing or soon expire."""
    files = Certificates(
        authority=folder / "ca.pem", chain=folder / "cert.pem", key=folder / "key.pem"
    )
    if not _still_good(files):
        folder.mkdir(parents=True, exist_ok=True)
        _make(files, names)
    return files


def _still_good(files: Certificates) -> bool:
    if not (files.authority.exists() and files.chain.exists() and files.key.exists()):
        return False
    leaf = x509.load_pem_x509_certificate(files.chain.read_bytes())
    return leaf.not_valid_after_utc - _RENEW_BEFORE > datetime.now(UTC)


def _make(files: Certificates, names: Sequence[str]) -> None:
    signer, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _name("Posthouse on one machine")
    authority = (
        _draft(issuer, issuer, signer.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    alternatives = [x509.DNSName(name) for name in names]
    addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in _ADDRESSES]
    leaf = (
        _draft(_name(names[0]), issuer, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([*alternatives, *addresses]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
        .sign(signer, hashes.SHA256())
    )
    files.key.unlink(missing_ok=True)
    files.key.touch(mode=0o600)
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    pem = serialization.Encoding.PEM
    files.authority.write_bytes(authority.public_bytes(pem))
    files.chain.write_bytes(leaf.public_bytes(pem) + authority.public_bytes(pem))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _draft(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _LIFETIME)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
