"""Where local parts are parted from their details (RFC 5233)."""

from __future__ import annotations

import pytest

from posthouse.mail.address import parse_address
from posthouse.mail.details import MAX_SPLITS, splits_of


@pytest.mark.parametrize(
    ("local", "bases"),
    [
        ("anna", []), ("anna+lists", ["anna"]), ("Anna+A+B", ["anna"]),
        ("a-b=c", ["a-b", "a"]), ("a-b+c-d", ["a-b+c", "a-b", "a"]),
        ("-anna", []), ("anna-", []), ('"a b-c"', ["a b"]),
    ],
)  # fmt: skip
def test_the_longest_base_comes_first(local: str, bases: list[str]) -> None:
    found = splits_of(parse_address(f"{local}@example.test"))

    assert [each.base for each in found] == bases


def test_what_stands_behind_many_delimiters_is_detail() -> None:
    address = parse_address("a" + "-b" * 30 + "@example.test")

    found = splits_of(address)

    assert len(found) == MAX_SPLITS
    assert found[-1].base == "a"
    assert found[0].detail.count("-") == 30 - MAX_SPLITS
