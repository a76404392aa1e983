"""People with certificates: an authority of one test, and what it says of somebody."""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """The files: who is to be trusted, and what the person shows."""

    authority: Path
    certificate: Path
    key: Path

    def client_context(self, *, shows: bool = True) -> ssl.SSLContext:
        """Return the person's context, who asks nothing of the server."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if shows:
            context.load_cert_chain(self.certificate, self.key)
        return context


class Authority:
    """Signs certificates of people; `person` makes one for a single somebody."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "people.pem"
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("People")
        draft = _draft(self._name, self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        _write(self.file, draft.sign(self._key, hashes.SHA256()))

    def person(self, *emails: str, name: str = "somebody", file: str = "one") -> Person:
        """Return somebody whose certificate says ``emails``."""
        made = Person(
            authority=self.file,
            certificate=self._folder / f"{file}.pem",
            key=self._folder / f"{file}.key",
        )
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _draft(self._name, _name(name), key)
        if emails:
            entries = x509.SubjectAlternativeName([x509.RFC822Name(email) for email in emails])
            leaf = leaf.add_extension(entries, critical=False)
        _write(made.certificate, leaf.sign(self._key, hashes.SHA256()))
        made.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return made


def person(folder: Path, *emails: str, name: str = "somebody") -> Person:
    """Return somebody whose certificate, by an authority made for it, says ``emails``."""
    return Authority(folder).person(*emails, name=name)


def _draft(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
