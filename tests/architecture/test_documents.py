"""The documents say what the code does: every setting, every queue, every RFC stands in them."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from posthouse.bus import topology
from posthouse.runtime.settings import CommonSettings

ROOT = Path(__file__).parents[2]
SERVICES = (
    "ingress_smtp",
    "policy_engine",
    "delivery_remote",
    "delivery_local",
    "imap_gateway",
    "pop3_gateway",
    "postmaster",
)
SECTIONS = ("Duty", "Takes from", "Settings", "What fails", "Metrics")


def _settings_class(service: str) -> type[CommonSettings]:
    module = importlib.import_module(f"{service}.settings")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, CommonSettings)
        and value.__module__ == module.__name__
    ]
    assert len(found) == 1, f"{service}.settings must define exactly one settings class"
    return found[0]


def _readme(service: str) -> str:
    return (ROOT / "services" / service / "README.md").read_text()


def _rfc_rows() -> list[list[str]]:
    lines = (ROOT / "docs/rfc.md").read_text().splitlines()
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    return [row for row in rows if row[0].isdigit()]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_documents_each_of_its_own_settings(service: str) -> None:
    own = set(_settings_class(service).model_fields) - set(CommonSettings.model_fields)

    missing = {f"POSTHOUSE_{name.upper()}" for name in own} - set(
        re.findall(r"POSTHOUSE_[A-Z0-9_]+", _readme(service))
    )

    assert missing == set()


def test_the_common_settings_stand_in_the_projects_documents() -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / "docs/settings.md").read_text()

    missing = [n for n in CommonSettings.model_fields if f"POSTHOUSE_{n.upper()}" not in text]

    assert missing == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_readme_keeps_the_order(service: str) -> None:
    text = _readme(service)

    places = [text.find(f"## {section}") for section in SECTIONS]

    assert -1 not in places
    assert places == sorted(places)


@pytest.mark.parametrize("service", SERVICES)
def test_each_metric_of_a_service_stands_in_its_readme(service: str) -> None:
    code = "".join(p.read_text() for p in (ROOT / "services" / service).rglob("*.py"))

    declared = set(re.findall(r'"(posthouse_[a-z0-9_]+)"', code))

    assert {name for name in declared if name not in _readme(service)} == set()


def test_every_queue_stands_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()

    names = {
        re.sub(r"mail\.remote\.\d+", "mail.remote.<shard>", q)
        for q in (queue.name for queue in topology.QUEUES)
    }
    shown = {re.sub(r"wait\..*", "wait.<delay>", name) for name in names}

    assert {name for name in shown if name not in text} == set()


def test_every_rfc_that_the_code_names_is_listed() -> None:
    sources = [p for top in ("shared", "services") for p in (ROOT / top).rglob("*.py")]
    named = {n for p in sources for n in re.findall(r"RFC (\d{3,5})", p.read_text())}

    assert named - {row[0] for row in _rfc_rows()} == set()


def test_every_listed_rfc_names_a_module_that_exists() -> None:
    for number, _title, done, modules in _rfc_rows():
        assert done in {"Yes", "Partial", "No"}, number
        for module in re.findall(r"`([^`]+)`", modules):
            assert (ROOT / module).exists(), f"RFC {number}: {module}"


def test_every_module_that_the_architecture_names_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()

    named = set(re.findall(r"`([a-z0-9_/]+\.py)`", text))

    assert named
    assert {
        path
        for path in named
        if not any((ROOT / top / path).exists() for top in ("", "shared", "services"))
    } == set()
