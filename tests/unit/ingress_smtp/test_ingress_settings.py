"""Wrong settings are refused, all at once, in an operator's words."""

from __future__ import annotations

import pytest

from ingress_smtp.settings import IngressSettings
from policy_engine.settings import PolicySettings
from posthouse.runtime.settings import read

COMMON = {
    "POSTHOUSE_DATABASE_URL": "postgresql://p@127.0.0.1/x",
    "POSTHOUSE_BROKER_URL": "amqp://127.0.0.1/",
    "POSTHOUSE_STORE": "disk:/tmp/x",
    "POSTHOUSE_HOSTNAME": "mx.example.test",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in COMMON.items():
        monkeypatch.setenv(name, value)


def test_all_faults_of_ingress_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHOUSE_POLICY_ENDPOINTS", "nowhere")
    monkeypatch.setenv("POSTHOUSE_RECIPIENTS_MAX", "0")

    assert read(IngressSettings) == [
        "POSTHOUSE_POLICY_ENDPOINTS: must look like host:port,host:port",
        "POSTHOUSE_RECIPIENTS_MAX: must be at least 1",
    ]


def test_a_client_is_not_kept_for_longer_than_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHOUSE_POLICY_ENDPOINTS", "a:1")
    monkeypatch.setenv("POSTHOUSE_CONTENT_SECONDS", "300")  # twice that is all of ten minutes

    faults = read(IngressSettings)

    assert isinstance(faults, list)
    assert "POSTHOUSE_CONTENT_SECONDS: must be at most 240.0" in faults


def test_submission_without_tls_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHOUSE_POLICY_ENDPOINTS", "a:1,[::1]:2")
    faults = read(IngressSettings)
    assert isinstance(faults, list)
    assert faults[0].startswith("POSTHOUSE_TLS_CERTIFICATE: is missing: submission takes")

    monkeypatch.setenv("POSTHOUSE_SUBMISSION_PORT", "0")
    monkeypatch.setenv("POSTHOUSE_SMTPS_PORT", "0")
    settings = read(IngressSettings)
    assert isinstance(settings, IngressSettings)
    assert settings.policy_addresses == ("a:1", "[::1]:2")


def test_all_faults_of_policy_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHOUSE_RELAY_NETWORKS", "192.0.2.1/24")
    monkeypatch.setenv("POSTHOUSE_SRS_SECRET", "short")
    monkeypatch.setenv("POSTHOUSE_POSTMASTER_ADDRESS", "nobody")

    assert read(PolicySettings) == [
        "POSTHOUSE_RELAY_NETWORKS: must look like 192.0.2.0/24,!192.0.2.7,2001:db8::/32",
        "POSTHOUSE_SRS_SECRET: must have at least 16 characters",
        "POSTHOUSE_POSTMASTER_ADDRESS: must be a mail address",
    ]
