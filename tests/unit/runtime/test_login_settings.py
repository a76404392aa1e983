"""Settings on credentials: what is offered follows them, and what cannot be is refused at start."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.credentials.exchange import Channel
from posthouse.credentials.passwords import Wanted
from posthouse.mail.encryption import Peer, Tls
from posthouse.runtime.logins import KeySettings, LoginSettings, mechanisms
from posthouse.runtime.settings import read
from support.people import person

pytestmark = pytest.mark.usefixtures("house_environment")

PEER = Peer(subject="CN=x", common_name="x", emails=("anna@example.test",), fingerprint="00")
WHOLE = Tls("TLSv1.3", "x", PEER, {"tls-exporter": bytes(32), "tls-server-end-point": b"x"})


def offered(settings: LoginSettings, tls: Tls) -> list[str]:
    channel = Channel(service="smtp", client="::1", tls=tls)
    return [one.name for one in mechanisms(settings) if one.is_possible(channel)]


def good() -> LoginSettings:
    found = read(LoginSettings)
    assert isinstance(found, LoginSettings), found
    return found


def test_by_default_all_is_offered_that_can_succeed() -> None:
    assert offered(good(), WHOLE) == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"]
    assert good().wanted == Wanted(scram=True, cram_md5=False)


@pytest.mark.parametrize("bindings", [{}, {"tls-server-end-point": b"x"}])
def test_plus_is_not_offered_where_clients_could_not_bind(bindings: dict[str, bytes]) -> None:
    names = offered(good(), Tls("TLSv1.3", "x", None, bindings))

    assert names == ["SCRAM-SHA-256", "PLAIN", "LOGIN"]


def test_the_operator_says_what_is_offered_and_in_which_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POSTHOUSE_SASL_MECHANISMS", "plain  Cram-MD5")

    assert offered(good(), WHOLE) == ["PLAIN", "CRAM-MD5"]
    assert good().wanted == Wanted(scram=False, cram_md5=True)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("PLAIN GSSAPI", "does not know GSSAPI"),
        ("PLAIN plain", "must name each mechanism once"),
        (" ", "must name each mechanism once"),
    ],
)
def test_what_cannot_be_offered_is_told(
    said: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTHOUSE_SASL_MECHANISMS", said)

    faults = read(KeySettings)

    assert isinstance(faults, list)
    [fault] = faults
    assert fault.startswith(f"POSTHOUSE_SASL_MECHANISMS: {told}")


def test_certificates_need_an_authority_and_a_mapping(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POSTHOUSE_SASL_EXTERNAL", "email")
    faults = read(LoginSettings)
    assert isinstance(faults, list)
    assert faults[0].startswith("POSTHOUSE_TLS_CLIENT_AUTHORITIES: is missing")

    shown = person(tmp_path)
    monkeypatch.setenv("POSTHOUSE_TLS_CLIENT_AUTHORITIES", str(shown.authority))
    monkeypatch.setenv("POSTHOUSE_TLS_CERTIFICATE", str(shown.certificate))
    monkeypatch.setenv("POSTHOUSE_TLS_KEY", str(shown.key))
    assert "EXTERNAL" in offered(good(), WHOLE)
    monkeypatch.setenv("POSTHOUSE_SASL_EXTERNAL", "off")
    assert "EXTERNAL" not in offered(good(), WHOLE)
