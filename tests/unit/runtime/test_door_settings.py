"""Settings of doors that cannot work are refused at the start, in an operator's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.runtime.doors import DoorSettings
from posthouse.runtime.settings import read

COMMON = {
    "POSTHOUSE_DATABASE_URL": "postgresql://p@127.0.0.1/x",
    "POSTHOUSE_BROKER_URL": "amqp://127.0.0.1/",
    "POSTHOUSE_STORE": "disk:/tmp/x",
    "POSTHOUSE_HOSTNAME": "mx.example.test",
}


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("TLS_CIPHERS", "NONSENSE", "OpenSSL refuses them"),
        ("TLS_FOLDER", "/nowhere/at/all", "the folder /nowhere/at/all is not there"),
        ("TLS_MINIMUM", "1.1", "'1.2' or '1.3'"),
        ("PROXY_NETWORKS", "10.0.0.1/8", "must look like 192.0.2.0/24,2001:db8::/32"),
        ("PROXY_REQUIRED", "perhaps", "true or false"),
    ],
)
def test_a_wrong_setting_is_refused(
    name: str, value: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, good in (COMMON | {f"POSTHOUSE_{name}": value}).items():
        monkeypatch.setenv(key, good)

    found = read(DoorSettings)

    assert isinstance(found, list)
    assert len(found) == 1
    assert f"POSTHOUSE_{name}" in found[0]
    assert fault in found[0]


def test_names_and_people_need_a_first_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, good in (COMMON | {"POSTHOUSE_TLS_FOLDER": str(tmp_path)}).items():
        monkeypatch.setenv(key, good)

    found = read(DoorSettings)

    assert isinstance(found, list)
    assert found[0].startswith("POSTHOUSE_TLS_CERTIFICATE: is missing")
