"""TLS by names and by terms: who is shown which certificate, and what a handshake agreed on."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from posthouse.mail.encryption import Tls
from posthouse.runtime.tls import ServerCertificate, client_context
from posthouse.runtime.tls_context import Pair, TlsTerms, end_point
from posthouse.runtime.tls_exporter import exported
from posthouse.runtime.tls_facts import agreed

FIRST = "mx.example.test"
ANYBODY = client_context(verify=False)


def make(
    certificate: Path,
    *names: str,
    signed_with: hashes.HashAlgorithm | None = hashes.SHA256(),  # noqa: B008 - frozen
    emails: tuple[str, ...] = (),
) -> Pair:
    """Write a certificate that vouches for itself, and its key; the first name is its CN."""
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    key = ec.generate_private_key(ec.SECP256R1())
    if signed_with is None:
        key = ed25519.Ed25519PrivateKey.generate()
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example, Inc."),
            x509.NameAttribute(NameOID.COMMON_NAME, names[0]),
        ]
    )
    now = datetime.now(UTC)
    others = [*map(x509.DNSName, () if emails else names), *map(x509.RFC822Name, emails)]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(others), critical=False)
        .sign(key, signed_with)  # type: ignore[arg-type]
    )
    pair = Pair(certificate, certificate.with_suffix(".key"))
    certificate.parent.mkdir(exist_ok=True)
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pair


def shaken(
    server: ssl.SSLContext, client: ssl.SSLContext = ANYBODY, host: str | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Shake hands in memory; return our end and the client's."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname=host)
    left = {ours, theirs}
    for _ in range(10):
        for side in (theirs, ours):
            try:
                side.do_handshake()
                left.discard(side)
            except ssl.SSLWantReadError:
                continue
    assert not left
    return ours, theirs


def shown(server: ssl.SSLContext, host: str | None) -> str:
    """Return the common name of the certificate that who asks for ``host`` is shown."""
    _, theirs = shaken(server, host=host)
    encoded = theirs.getpeercert(binary_form=True)
    assert encoded is not None
    names = x509.load_der_x509_certificate(encoded).subject
    return str(names.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def facts(server: ssl.SSLObject) -> Tls:
    found = agreed(asyncio.BaseTransport(extra={"ssl_object": server}))
    assert found is not None
    return found


@pytest.fixture
def first(tmp_path: Path) -> Pair:
    return make(tmp_path / "first.pem", FIRST)


def served(
    first: Pair, folder: Path | None = None, terms: TlsTerms | None = None
) -> ssl.SSLContext:
    return ServerCertificate(first.certificate, first.key, folder=folder, terms=terms).context


def test_everybody_is_shown_the_certificate_for_the_name(first: Pair, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    make(folder / "tenant.crt", "mail.tenant.test", "imap.tenant.test")
    make(folder / "secret" / "tls.crt", "*.wild.test", "wild.test")
    context = served(first, folder)

    for host, name in {
        "mail.tenant.test": "mail.tenant.test",
        "IMAP.tenant.test": "mail.tenant.test",
        "any.wild.test": "*.wild.test",
        "wild.test": "*.wild.test",
        "deep.any.wild.test": FIRST,
        "unknown.test": FIRST,
        FIRST: FIRST,
        None: FIRST,
    }.items():
        assert shown(context, host) == name


def test_certificates_come_change_and_go(first: Pair, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    certificate = ServerCertificate(first.certificate, first.key, folder=folder)
    assert shown(certificate.context, "new.test") == FIRST

    pair = make(folder / "new.crt", "new.test")
    assert certificate.refresh()
    assert not certificate.refresh()
    assert shown(certificate.context, "new.test") == "new.test"

    make(pair.certificate, "newer.test", "new.test")
    assert certificate.refresh()
    assert shown(certificate.context, "new.test") == "newer.test"

    pair.key.write_text("half of a renewal")
    assert not certificate.refresh()
    assert shown(certificate.context, "new.test") == "newer.test"

    pair.certificate.unlink()
    assert certificate.refresh()
    assert shown(certificate.context, "new.test") == FIRST


def test_a_bad_certificate_in_the_folder_stops_no_other(first: Pair, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "bad.crt").write_text("no certificate")
    (folder / "..data").mkdir()
    make(folder / "good.crt", "good.test")

    assert shown(served(first, folder), "good.test") == "good.test"


def test_an_operator_may_ask_for_tls_1_3(first: Pair) -> None:
    old = client_context(verify=False)
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    assert shaken(served(first), old)[0].version() == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        shaken(served(first, terms=TlsTerms(minimum="1.3")), old)


def test_an_operator_chooses_the_ciphers_of_tls_1_2(first: Pair) -> None:
    old = client_context(verify=False)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    terms = TlsTerms(ciphers="ECDHE-ECDSA-CHACHA20-POLY1305")

    ours, _ = shaken(served(first, terms=terms), old)

    assert facts(ours).cipher == "ECDHE-ECDSA-CHACHA20-POLY1305"


def test_plain_text_agrees_on_nothing() -> None:
    assert agreed(asyncio.BaseTransport()) is None


def test_the_channel_is_bound_to_the_certificate_that_was_shown(
    first: Pair, tmp_path: Path
) -> None:
    folder = tmp_path / "more"
    make(folder / "tenant.crt", "tenant.test", signed_with=hashes.SHA384())
    context = served(first, folder)
    for host, name, digest in ((None, FIRST, "sha256"), ("tenant.test", "tenant.test", "sha384")):
        ours, theirs = shaken(context, host=host)

        encoded = theirs.getpeercert(binary_form=True) or b""
        assert name.encode() in encoded
        expected = hashlib.new(digest, encoded).digest()
        bindings = facts(ours).channel_bindings
        assert bindings == {"tls-server-end-point": expected, "tls-exporter": exported(theirs)}


def test_under_tls_1_2_both_ends_know_one_more_binding(first: Pair) -> None:
    old = client_context(verify=False)
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    ours, theirs = shaken(served(first), old)

    expected = theirs.get_channel_binding("tls-unique")
    assert expected
    assert facts(ours).channel_bindings["tls-unique"] == expected
    assert expected.hex() not in repr(facts(ours))


def test_a_certificate_without_a_hash_of_its_own_is_bound_by_sha_256(tmp_path: Path) -> None:
    pair = make(tmp_path / "ed.pem", FIRST, signed_with=None)
    certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())

    assert end_point(certificate) == certificate.fingerprint(hashes.SHA256())


def test_a_client_is_who_its_certificate_says(first: Pair, tmp_path: Path) -> None:
    anna = make(tmp_path / "anna.pem", "anna", emails=("anna@example.test",))
    context = served(first, terms=TlsTerms(authorities=anna.certificate))
    nobody, person = client_context(verify=False), client_context(verify=False)
    person.load_cert_chain(anna.certificate, anna.key)

    assert facts(shaken(context, nobody)[0]).peer is None
    peer = facts(shaken(context, person)[0]).peer

    assert peer is not None
    assert peer.subject == "CN=anna,O=Example\\, Inc."
    assert (peer.common_name, peer.emails) == ("anna", ("anna@example.test",))
    encoded = ssl.PEM_cert_to_DER_cert(anna.certificate.read_text())
    assert peer.fingerprint == hashlib.sha256(encoded).hexdigest()


def test_a_certificate_of_another_authority_ends_the_handshake(first: Pair, tmp_path: Path) -> None:
    anna, eve = make(tmp_path / "anna.pem", "anna"), make(tmp_path / "eve.pem", "anna")
    context = served(first, terms=TlsTerms(authorities=anna.certificate))
    forger = client_context(verify=False)
    forger.load_cert_chain(eve.certificate, eve.key)

    with pytest.raises(ssl.SSLError):
        shaken(context, forger)
