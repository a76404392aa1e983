"""Our own addresses: those that an operator names, and those of this machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ingress_smtp.courtesy_settings import CourtesySettings
from ingress_smtp.interfaces import interface_addresses
from posthouse.runtime.settings import read

ROUTES = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.25
           /32 link UNICAST
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
Local:
  +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
           /32 link BROADCAST
"""
SIXES = "20010db8000000000000000000000025 02 40 00 80     eth0\n"


def _system(folder: Path, sixes: str | None) -> Path:
    (folder / "fib_trie").write_text(ROUTES)
    if sixes is not None:
        (folder / "if_inet6").write_text(sixes)
    return folder


@pytest.mark.parametrize(
    ("address", "is_ours"),
    [
        ("192.0.2.25", True),
        ("127.0.0.2", True),
        ("2001:db8::25", True),
        ("192.0.2.0", False),
        ("192.0.2.255", False),
        ("192.0.2.26", False),
        ("0.0.0.0", False),  # noqa: S104 - nobody listens
        ("2001:db8::26", False),
    ],
)
def test_an_address_is_ours_if_an_interface_has_it(
    tmp_path: Path, address: str, *, is_ours: bool
) -> None:
    assert (address in interface_addresses(_system(tmp_path, SIXES))) is is_ours


def test_a_machine_without_ipv6_has_none(tmp_path: Path) -> None:
    assert "192.0.2.25" in interface_addresses(_system(tmp_path, None))


def test_this_machine_has_the_address_that_it_connects_from() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert server.getsockname()[0] in interface_addresses()


@pytest.fixture
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DATABASE_URL": "postgresql://p@127.0.0.1/x",
        "BROKER_URL": "amqp://127.0.0.1/",
        "STORE": "disk:/srv/x",
        "HOSTNAME": "mx.example.test",
    }.items():
        monkeypatch.setenv(f"POSTHOUSE_{name}", value)


@pytest.mark.usefixtures("_environment")
def test_an_operator_may_name_addresses_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHOUSE_OWN_ADDRESSES", "198.51.100.25, interfaces")
    settings = read(CourtesySettings)

    assert isinstance(settings, CourtesySettings)
    for literal in ("127.0.0.1", "198.51.100.25"):
        whole = settings.courtesies.whole(f"postmaster@[{literal}]", "")
        assert whole == "postmaster@mx.example.test"
    assert settings.courtesies.whole("postmaster@[203.0.113.9]", "") == "postmaster@[203.0.113.9]"


@pytest.mark.usefixtures("_environment")
def test_what_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHOUSE_OWN_ADDRESSES", "interfaces,everywhere")

    faults = read(CourtesySettings)
    assert isinstance(faults, list)
    assert faults[0].startswith("POSTHOUSE_OWN_ADDRESSES: must look like 192.0.2.0/24")
