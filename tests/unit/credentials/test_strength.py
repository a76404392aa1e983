"""What a guess costs whoever has stolen our hashes, and a stranger who tries names."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from posthouse.credentials import passwords
from posthouse.credentials.passwords import (
    Wanted,
    hash_for_import,
    hash_password,
    is_outdated,
    make_secrets,
    matches,
)

FULL = "$argon2id$v=19$m=19456,t=2,p=1$"  # OWASP: 19 MiB, two passes


def test_what_is_made_today_has_full_strength() -> None:
    made = make_secrets("right", Wanted()).password_hash

    assert made.startswith(FULL)
    assert hash_password("right").startswith(FULL)
    assert not is_outdated(made)


def test_an_import_is_light_until_the_first_login() -> None:
    made = hash_for_import("right")

    assert made.startswith("$argon2id$v=19$m=9216,t=1,p=1$")
    assert make_secrets("right", Wanted(), light=True).password_hash.startswith(made[:30])
    assert is_outdated(made)


@pytest.mark.parametrize(("word", "hashed"), [("right", 0), ("wrong", 1)])
def test_a_wrong_password_costs_a_full_hash_even_against_a_light_one(
    monkeypatch: pytest.MonkeyPatch, word: str, hashed: int
) -> None:
    light, spied = hash_for_import("right"), Mock(wraps=passwords._hasher)
    monkeypatch.setattr(passwords, "_hasher", spied)

    assert matches(light, word) is (word == "right")
    assert spied.hash.call_count == hashed
