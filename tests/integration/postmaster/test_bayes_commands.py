"""Training as operators do it: files, mailboxes, taking back; what the duty learns of moved mail."""

from __future__ import annotations

import json
import mailbox
from pathlib import Path
from typing import Any

import pytest

from posthouse.storage import directory
from posthouse.storage.bayes.corpora import SITE, corpus_of
from support import junk_mail
from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration

ANNA = "anna@example.test"


async def _done(clerk: LivePostmaster, *arguments: str) -> str:
    result = await clerk.cli("policy", "bayes", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


async def _counts(clerk: LivePostmaster, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await _done(clerk, *arguments, "--json"))
    return {key: value for key, value in found.items() if value}


@pytest.fixture
def spam(tmp_path: Path) -> Path:
    """An mbox with ten messages."""
    box = mailbox.mbox(tmp_path / "spam.mbox")
    for octets in junk_mail.spam(10):
        box.add(octets.replace(b"\r\n", b"\n") + b"From here on it is quoted\n")
    box.close()
    return tmp_path / "spam.mbox"


@pytest.fixture
def ham(tmp_path: Path) -> Path:
    """A Maildir with ten messages."""
    box = mailbox.Maildir(tmp_path / "ham")
    for octets in junk_mail.ham(10):
        box.add(octets.replace(b"\r\n", b"\n"))
    return tmp_path / "ham"


async def test_files_are_learned_once_changed_and_taken_back(
    clerk: LivePostmaster, spam: Path, ham: Path
) -> None:
    assert await _counts(clerk, "learn", "--spam", str(spam)) == {"new": 10}
    assert await _counts(clerk, "learn", "--ham", str(ham), str(spam)) == {"new": 10, "changed": 10}
    assert await _counts(clerk, "learn", "--ham", str(ham)) == {"known": 10}
    assert await _counts(clerk, "forget", str(spam)) == {"forgotten": 10}

    corpus = await corpus_of(clerk.pool, SITE)
    assert (corpus.spam, corpus.ham) == (0, 10)
    assert "the site" in await _done(clerk, "status")
    await _done(clerk, "reset")
    assert "Nothing" in await _done(clerk, "status")


async def test_an_account_learns_for_itself(clerk: LivePostmaster, spam: Path) -> None:
    await directory.add_domain(clerk.pool, "example.test")
    anna = await directory.add_account(clerk.pool, ANNA, "x")

    assert await _counts(clerk, "learn", "--spam", str(spam), "--user", ANNA) == {"new": 10}

    assert (await corpus_of(clerk.pool, anna)).spam == 10
    assert (await corpus_of(clerk.pool, SITE)).spam == 0
    for wrong in (["--user", "nobody@example.test", "--spam"], ["--spam", "--ham"], []):
        assert (await clerk.cli("policy", "bayes", "learn", str(spam), *wrong)).exit_code == 1


async def test_accuracy_is_told_and_nothing_is_learned(
    clerk: LivePostmaster, spam: Path, ham: Path
) -> None:
    told = json.loads(
        await _done(clerk, "test", "--spam", str(spam), "--ham", str(ham), "--folds", "2", "--json")
    )

    assert sum(told["spam"].values()) == sum(told["ham"].values()) == 10
    assert told["false_positives"] == 0
    assert "Precision" in await _done(clerk, "test", "--spam", str(spam), "--ham", str(ham))
    assert (await corpus_of(clerk.pool, SITE)).spam == 0


async def test_a_mailbox_of_an_account_waits_to_be_learned(clerk: LivePostmaster) -> None:
    await directory.add_domain(clerk.pool, "example.test")
    await directory.add_account(clerk.pool, ANNA, "x")

    said = await _done(clerk, "learn", "--spam", "INBOX", "--of", ANNA)

    assert said.strip() == "0 messages of INBOX are being learned for the site."
    missing = await clerk.cli("policy", "bayes", "learn", "--spam", "Nowhere", "--of", ANNA)
    assert missing.exit_code == 1
    actions = [row["action"] for row in (await clerk.http.get("/audit")).json()["items"]]
    assert actions == ["bayes spam"]
