"""Rates in the environment become limits, and what is none stops the start."""

from __future__ import annotations

import pytest

from ingress_smtp.limit_settings import LimitSettings
from posthouse.mail.rates import UNLIMITED, Buckets
from posthouse.runtime.settings import read

COMMON = {
    "DATABASE_URL": "postgresql://p@127.0.0.1/x",
    "BROKER_URL": "amqp://127.0.0.1/",
    "STORE": "disk:/srv/x",
    "HOSTNAME": "mx.example.test",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in COMMON.items():
        monkeypatch.setenv(f"POSTHOUSE_{name}", value)


def test_all_faults_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHOUSE_RATE_CLIENT_MESSAGES", "often")
    monkeypatch.setenv("POSTHOUSE_RATE_ACCOUNT_MESSAGES", "5/30d")
    monkeypatch.setenv("POSTHOUSE_CLIENT_IPV6_BITS", "16")
    monkeypatch.setenv("POSTHOUSE_RATE_EXEMPT", "10.0.0.1/8")

    faults = read(LimitSettings)
    assert isinstance(faults, list)
    assert sorted(faults) == [
        "POSTHOUSE_CLIENT_IPV6_BITS: must be at least 32",
        "POSTHOUSE_RATE_ACCOUNT_MESSAGES: must be so many in a time of at most 7d, like 300/1m",
        "POSTHOUSE_RATE_CLIENT_MESSAGES: must look like 300/1m, or be 0 for no limit",
        (
            "POSTHOUSE_RATE_EXEMPT: must look like 192.0.2.0/24,2001:db8::/32: "
            "10.0.0.1/8 has host bits set"
        ),
    ]


def test_each_setting_is_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    whats = ("connections", "messages", "recipients", "failures")
    for subject in ("client", "account"):
        for most, what in enumerate(whats, start=1):
            monkeypatch.setenv(f"POSTHOUSE_RATE_{subject}_{what}".upper(), f"{most}/1h")
    monkeypatch.setenv("POSTHOUSE_RATE_LOGIN_FAILURES", "0")
    monkeypatch.setenv("POSTHOUSE_CLIENT_IPV4_BITS", "24")
    settings = read(LimitSettings)
    assert isinstance(settings, LimitSettings)

    buckets = Buckets()
    limits = settings.limits(buckets)
    for told in (limits.message, limits.recipient):
        told("192.0.2.1", "")
        told("192.0.2.1", "anna@example.test")
    limits.connection("192.0.2.1")
    limits.login("anna@example.test")

    rates = {each.key: each.rate.most for each in buckets.told()}
    assert rates == {
        (who, what): most
        for who in ("192.0.2.0/24", "anna@example.test")
        for most, what in enumerate(whats, start=1)
    }
    assert settings.rate_login_failures == UNLIMITED
    assert settings.clients.name("127.0.0.1") == ""
