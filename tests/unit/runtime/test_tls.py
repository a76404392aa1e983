"""Certificates: reloaded when their files change, kept when they do not fit together."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from posthouse.runtime.tls import ServerCertificate, client_context


def write_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a certificate for ``name`` and its key, as a renewal does."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "tls.pem", folder / "tls.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def name_shown(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "") -> str:
    """Shake hands in memory and return the common name the server showed."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname=host or None)
    shaken = set[ssl.SSLObject]()
    for _ in range(10):
        for side in (theirs, ours):
            try:
                side.do_handshake()
                shaken.add(side)
            except ssl.SSLWantReadError:
                continue
        if len(shaken) == 2:
            break
    shown = theirs.getpeercert(binary_form=True)
    assert shown is not None
    (name,) = x509.load_der_x509_certificate(shown).subject.get_attributes_for_oid(
        NameOID.COMMON_NAME
    )
    return str(name.value)


def test_new_files_serve_the_next_handshake(tmp_path: Path) -> None:
    certificate = ServerCertificate(*write_certificate(tmp_path, "old.example.test"))
    anybody = client_context(verify=False)
    before = name_shown(certificate.context, anybody)

    write_certificate(tmp_path, "new.example.test")

    assert certificate.refresh()
    assert (before, name_shown(certificate.context, anybody)) == (
        "old.example.test",
        "new.example.test",
    )
    assert not certificate.refresh()


def test_half_a_renewal_is_not_served(tmp_path: Path) -> None:
    paths = write_certificate(tmp_path, "old.example.test")
    certificate = ServerCertificate(*paths)
    (tmp_path / "other").mkdir()
    other, other_key = write_certificate(tmp_path / "other", "new.example.test")

    paths[0].write_bytes(other.read_bytes())  # the key is still the old one

    assert not certificate.refresh()
    assert name_shown(certificate.context, client_context(verify=False)) == "old.example.test"
    paths[1].write_bytes(other_key.read_bytes())
    assert certificate.refresh()
    assert name_shown(certificate.context, client_context(verify=False)) == "new.example.test"


def test_missing_files_leave_the_old_certificate_in_service(tmp_path: Path) -> None:
    paths = write_certificate(tmp_path, "old.example.test")
    certificate = ServerCertificate(*paths)

    paths[0].unlink()

    assert not certificate.refresh()
    assert name_shown(certificate.context, client_context(verify=False)) == "old.example.test"


def test_a_verifying_client_believes_only_its_authorities(tmp_path: Path) -> None:
    paths = write_certificate(tmp_path, "mx.example.test")
    server = ServerCertificate(*paths).context

    assert name_shown(server, client_context(authorities=paths[0]), "mx.example.test")
    with pytest.raises(ssl.SSLCertVerificationError):
        name_shown(server, client_context(), "mx.example.test")
    with pytest.raises(ssl.SSLCertVerificationError):
        name_shown(server, client_context(authorities=paths[0]), "else.example.test")


def test_nothing_older_than_tls_1_2_is_spoken(tmp_path: Path) -> None:
    server = ServerCertificate(*write_certificate(tmp_path, "mx.example.test")).context

    assert server.minimum_version == ssl.TLSVersion.TLSv1_2
    assert client_context().minimum_version == ssl.TLSVersion.TLSv1_2
    assert client_context(verify=False).minimum_version == ssl.TLSVersion.TLSv1_2
