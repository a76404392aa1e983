"""How content is judged: wrong settings are told in an operator's words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from policy_engine.content.bench import Marks
from policy_engine.content.settings import ContentSettings
from policy_engine.content.verdict import Levels
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


def test_without_any_authentication_is_on_and_the_levels_are_the_usual() -> None:
    found = read(ContentSettings)

    assert isinstance(found, ContentSettings)
    assert (found.authentication, found.levels) == (True, Levels())
    assert (found.marks, found.patience) == (Marks(), timedelta(seconds=10))


def test_levels_rise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHOUSE_SPAM_REJECT_SCORE", "5.5")

    found = read(ContentSettings)

    assert isinstance(found, list)
    [fault] = found
    assert fault.startswith("POSTHOUSE_SPAM_TAG_SCORE, POSTHOUSE_SPAM_QUARANTINE_SCORE and ")
    assert fault.endswith("must not fall from one to the next")


@pytest.mark.parametrize("subject", ["[Sp\u00e4m]", "a\tb", "x" * 61])
def test_what_stands_before_a_subject_needs_no_encoding(
    subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTHOUSE_SPAM_SUBJECT", subject)

    assert read(ContentSettings) == [
        "POSTHOUSE_SPAM_SUBJECT: must be at most 60 printable ASCII characters"
    ]
