"""What is kept of a verdict: JSON that PostgreSQL takes."""

from __future__ import annotations

import msgspec
import pytest

from posthouse.mail.content import ContentVerdict, Kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [("a", "a"), ("a\0b", "a\ufffdb"), ("a\\u0000b", "a\\ufffdb"), ("\\\\\0", "\\\\\ufffd")],
)
def test_a_nul_is_not_kept(text: str, kept: str) -> None:
    verdict = ContentVerdict(action="reject", text=text, rules=((text, 1.0),))

    found = msgspec.json.decode(verdict.record, type=Kept)

    assert (found.text, found.rules[0][0]) == (kept, kept)


def test_of_what_nobody_found_anything_in_nothing_is_kept() -> None:
    assert ContentVerdict().record == ""
