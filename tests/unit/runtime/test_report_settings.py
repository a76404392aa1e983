"""Settings of those who tell senders: wrong words, or a language nobody speaks, refuse the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.runtime.report_settings import ReportSettings, ReturnPathSettings
from posthouse.runtime.settings import read
from posthouse.runtime.wordings import HOUSE

pytestmark = pytest.mark.usefixtures("house_environment")


def _faults(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> list[str]:
    monkeypatch.setenv(f"POSTHOUSE_{name}", value)
    found = read(ReportSettings)
    assert isinstance(found, list), found
    return found


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("BOUNCE_FROM", "a@b", "must be what stands before the @ of an address"),
        ("BOUNCE_HOST", "not a domain", "must be a domain name"),
        ("DOUBLE_BOUNCE_ADDRESS", "ops", "must be a mail address"),
        ("REPORT_LANGUAGE", "tlh", "must be one of de, en"),
        ("REPORT_WORDINGS", "/nonexistent", "no wording in /nonexistent: name the files like"),
    ],
)
def test_what_cannot_be_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, fault: str
) -> None:
    (said,) = _faults(monkeypatch, name, value)

    assert said.startswith(f"POSTHOUSE_{name}: {fault}")


@pytest.mark.parametrize("value", ["+", "+-", "ab", "+=="])
def test_delimiters_that_could_not_be_read_back_are_refused(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("POSTHOUSE_VERP_DELIMITERS", value)

    assert read(ReturnPathSettings) == [
        "POSTHOUSE_VERP_DELIMITERS: must be two of the characters -+=, the second no -"
    ]


def test_each_fault_of_the_operators_words_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (HOUSE / "de.toml").read_text()
    (tmp_path / "de.toml").write_text(text.replace("{date}", "{datum}"))

    (said,) = _faults(monkeypatch, "REPORT_WORDINGS", str(tmp_path))

    assert said == (
        "POSTHOUSE_REPORT_WORDINGS: de.toml phrases.until holds {datum}, which is not known there"
    )


def test_an_operator_adds_a_language_and_makes_it_the_houses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (HOUSE / "de.toml").read_text()
    (tmp_path / "de-AT.toml").write_text(text.replace('language = "de"', 'language = "de-AT"'))
    monkeypatch.setenv("POSTHOUSE_REPORT_WORDINGS", str(tmp_path))
    monkeypatch.setenv("POSTHOUSE_REPORT_LANGUAGE", "de-AT")

    found = read(ReportSettings)

    assert isinstance(found, ReportSettings)
    assert found.wordings["de-at"].language == "de-AT"
