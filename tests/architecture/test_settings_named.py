"""What the documents call a setting is one: of a service, of the doors, of the machine's stack."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path

import pytest

from posthouse.runtime.settings import CommonSettings

ROOT = Path(__file__).parents[2]
SERVICES = (
    "ingress_smtp", "policy_engine", "delivery_remote", "delivery_local", "imap_gateway",
    "pop3_gateway", "postmaster",
)  # fmt: skip
DOCUMENTS = sorted([*ROOT.glob("services/*/README.md"), *ROOT.glob("docs/*.md")])


def _fields() -> set[str]:
    settings = [importlib.import_module(f"{service}.settings") for service in SERVICES]
    classes = [
        value
        for module in settings
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, CommonSettings)
    ]
    return {f"POSTHOUSE_{name.upper()}" for one in classes for name in one.model_fields}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_setting_that_a_document_names_exists(document: Path) -> None:
    named = set(re.findall(r"POSTHOUSE_[A-Z0-9]+(?:_[A-Z0-9]+)*\b(?![_*])", document.read_text()))

    assert named - _fields() - _OF_THE_COMMAND == set()


@pytest.mark.journey
def test_each_smtpd_setting_of_postfix_has_its_row() -> None:
    table = (ROOT / "services/ingress_smtp/README.md").read_text()
    told = subprocess.run(["/usr/sbin/postconf", "-d"], stdout=subprocess.PIPE, check=True)
    settings = set(re.findall(r"^(smtpd_\w+) =", told.stdout.decode(), re.MULTILINE))

    assert len(settings) > 100
    assert {name for name in settings if f"`{name}`" not in table} == set()


_OF_THE_COMMAND = {"POSTHOUSE_API_URL"}
