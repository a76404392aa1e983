"""What reports say to people, in every language of the house (RFC 5646 names the languages)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.status import Status
from posthouse.mail.wording import ACTIONS, PHRASES, BadWording, read_wording
from posthouse.runtime.wordings import HOUSE, wordings

ENGLISH = (HOUSE / "en.toml").read_text()


def _wrong(old: str, new: str) -> str:
    """Return what is said of the English wording with ``new`` in place of ``old``."""
    assert old in ENGLISH
    with pytest.raises(BadWording) as refused:
        read_wording(ENGLISH.replace(old, new))
    return str(refused.value)


def test_the_house_speaks_english_and_german_and_says_the_same_things_in_both() -> None:
    spoken = wordings(None)

    assert {"de", "en"} <= set(spoken)
    for wording in spoken.values():
        assert set(wording.subjects) == set(wording.openings) == set(ACTIONS)
        assert set(wording.phrases) == set(PHRASES)
        assert set(wording.reasons) == set(spoken["en"].reasons)


def test_a_reason_is_told_in_plain_words() -> None:
    german = wordings(None)["de"]

    assert "Postfach ist voll" in german.reason_of(Status(552, (5, 2, 2)))
    assert "Postfach ist voll" in german.reason_of(Status(452, (4, 2, 2)))
    assert german.reason_of(Status(554, (5, 9, 9))) == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('language = "en"', 'language = "1"', "language must be a tag like de or pt-BR"),
        ("[failed]", "[lost]", "[failed] is missing; lost is not known here"),
        ('from = "Mail Delivery System"', "", "phrases.from is missing"),
        ('from = "', 'form = "x"\nfrom = "', "phrases.form is not known here"),
        ("{date}", "{host}", "phrases.until holds {host}, which is not known there"),
        ("{address}", "{address.__class__}", "phrases.meant holds {address.__class__}, which"),
        ("{host} said:", "{host!r} said:", "phrases.said holds {host}, which is not known there"),
        ("{host} said:", "{host said:", "phrases.said has a brace too much or too few"),
        ("%Y-%m-%d", "%c", "phrases.date may hold %Y, %m, %d, %H and %M only"),
        ('"1.1" =', '"5.1.1" =', "reasons.5.1.1 must be named like 1.1"),
        ("The reason:", "a\\r\\nBcc: x@y.test", "phrases.reason must be one line"),
        ('"The reason:"', "7", "phrases.reason must be a text"),
        ('"The reason:"', '""', "phrases.reason must be a text"),
        ('language = "en"', "language =", "is no TOML"),
    ],
)
def test_what_is_wrong_with_a_wording_is_told(old: str, new: str, said: str) -> None:
    assert said in _wrong(old, new)


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(BadWording) as refused:
        read_wording("")

    for each in ("language", "failed", "delayed", "delivered", "relayed", "expanded", "phrases"):
        assert each in str(refused.value)


@given(st.text())
def test_any_text_is_a_wording_or_refused(text: str) -> None:
    with suppress(BadWording):
        assert read_wording(text).language
