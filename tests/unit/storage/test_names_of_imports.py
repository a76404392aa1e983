"""What mailboxes of other servers are called here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.storage.importing import MAX_LEVELS, name_here
from posthouse.storage.mailboxes import MAX_NAME_OCTETS


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("Projects/2025", "Projects/2025"),
        ("inbox", "INBOX"),
        ("Inbox/x", "INBOX/x"),
        ("user/x", "own user/x"),
        ("shared", "own shared"),
        ("users/x", "users/x"),
        ("a//b", "a/_/b"),
        ("100%*", "100__"),
        ("a\x07b", "a_b"),
    ],
)
def test_names(there: str, here: str) -> None:
    assert name_here(there) == here


@given(st.text(min_size=1))
def test_every_name_becomes_one_that_imap_can_say_and_stays_so(name: str) -> None:
    here = name_here(name)

    levels = here.split("/")
    assert all(levels)
    assert len(levels) <= MAX_LEVELS
    assert len(here.encode()) <= MAX_NAME_OCTETS
    assert here.isprintable()
    assert not set("*%") & set(here)
    assert levels[0] not in ("user", "shared")
    assert name_here(here) == here
