"""Wordings of the operator's own: beside those of the house, or instead of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.mail.wording import BadWording
from posthouse.runtime.wordings import HOUSE, wordings

GERMAN = (HOUSE / "de.toml").read_text()


def test_the_operators_words_go_first_and_other_languages_come_beside(tmp_path: Path) -> None:
    (tmp_path / "de.toml").write_text(GERMAN.replace('from = "Mailsystem"', 'from = "Poststelle"'))
    (tmp_path / "de-AT.toml").write_text(GERMAN.replace('"de"', '"de-AT"'))

    spoken = wordings(tmp_path)

    assert spoken["de"].say("from") == "Poststelle"
    assert set(spoken) >= {"de", "de-at", "en"}


def test_every_faulty_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "de.toml").write_text(GERMAN.replace("{date}", "{when}"))
    (tmp_path / "fr.toml").write_text(GERMAN)
    (tmp_path / "xx.toml").write_bytes(b"\xff")

    with pytest.raises(BadWording) as refused:
        wordings(tmp_path)

    assert "de.toml phrases.until holds {when}" in str(refused.value)
    assert "fr.toml says that it is de" in str(refused.value)
    assert "xx.toml 'utf-8' codec can't decode" in str(refused.value)


def test_a_folder_without_wordings_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(BadWording, match="no wording in"):
        wordings(tmp_path / "missing")
