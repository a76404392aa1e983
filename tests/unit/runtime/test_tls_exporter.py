"""tls-exporter: the same on both sides of a session, another for each, none where it cannot be."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from onemachine.certificates import Certificates, certificates
from posthouse.runtime import tls_exporter
from posthouse.runtime.tls_exporter import exported


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(Path(tmp_path_factory.mktemp("tls")), ("localhost",))


def session(
    files: Certificates, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Return both ends of a session, after the handshake."""
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(files.chain, files.key)
    theirs = ssl.create_default_context(cafile=str(files.authority))
    theirs.maximum_version = version
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = ours.wrap_bio(one, other, server_side=True)
    client = theirs.wrap_bio(other, one, server_hostname="localhost")
    for _ in range(3):
        for end in (client, server):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return server, client


def test_both_sides_know_the_same_and_each_session_another(files: Certificates) -> None:
    server, client = session(files)
    found = exported(server)

    assert found is not None
    assert len(found) == 32
    assert found == exported(client)
    assert found != exported(session(files)[0])


def test_under_tls_1_2_there_is_none(files: Certificates) -> None:
    server, _ = session(files, ssl.TLSVersion.TLSv1_2)

    assert server.version() == "TLSv1.2"
    assert exported(server) is None


def test_where_python_is_built_otherwise_there_is_none(
    files: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = session(files)
    with monkeypatch.context() as patch:
        patch.setattr(tls_exporter, "_CONTEXT_AT", tls_exporter._CONTEXT_AT + 8)
        assert exported(server) is None
        patch.setattr(tls_exporter, "_CONTEXT_AT", 4096)
        assert exported(server) is None
    monkeypatch.setattr("_ssl.__file__", "/nowhere.so")
    tls_exporter._openssl.cache_clear()
    assert exported(server) is None
    tls_exporter._openssl.cache_clear()
