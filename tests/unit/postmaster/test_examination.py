"""Certificates and settings as ``posthouse config check`` judges them."""

from __future__ import annotations

import shutil
import ssl
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from onemachine.certificates import certificates
from postmaster.examination import (
    RENEW_BEFORE,
    SETTINGS_GROUP,
    examine_settings,
    judge_certificate,
)

NOW = datetime.now(UTC)
SERVICES = {
    "delivery-local", "delivery-remote", "imap-gateway", "ingress-smtp", "policy",
    "pop3-gateway", "postmaster",
}  # fmt: skip


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    made = certificates(tmp_path_factory.mktemp("tls"), ("mail.example.test",))
    return made.chain, made.key


def test_a_certificate_is_good_until_it_should_be_renewed(pair: tuple[Path, Path]) -> None:
    text = judge_certificate(*pair, NOW)
    end = datetime.strptime(text.rpartition(" ")[2], "%Y-%m-%d").replace(tzinfo=UTC)

    for moment, words in (
        (end - RENEW_BEFORE + timedelta(days=2), "renew it"),
        (end + timedelta(days=2), "ended on"),
        (NOW - timedelta(days=3650), "not valid before"),
    ):
        with pytest.raises(ValueError, match=words):
            judge_certificate(*pair, moment)


def test_a_key_that_does_not_fit_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    other = certificates(tmp_path / "other", ("mail.example.test",))

    with pytest.raises(ssl.SSLError):
        judge_certificate(pair[0], other.key, NOW)
    broken = tmp_path / "broken.pem"
    shutil.copy(pair[1], broken)
    with pytest.raises((ssl.SSLError, ValueError)):
        judge_certificate(broken, pair[1], NOW)


def test_the_settings_of_every_service_are_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "BROKER_URL", "STORE", "HOSTNAME"):
        monkeypatch.delenv(f"POSTHOUSE_{name}", raising=False)

    findings = list(examine_settings())

    assert {entry.name for entry in entry_points(group=SETTINGS_GROUP)} == SERVICES
    assert {finding.part for finding in findings} == {f"settings of {name}" for name in SERVICES}
    assert all("POSTHOUSE_" in finding.text for finding in findings if not finding.fine)
    missing = [finding for finding in findings if "POSTHOUSE_DATABASE_URL" in finding.text]
    assert len(missing) == len(SERVICES)
