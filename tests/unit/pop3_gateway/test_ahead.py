"""Reading ahead: more and more for who goes on, one for who jumps about, nothing twice in a row."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from pop3_gateway.ahead import Ahead

LARGE = 107


async def test_who_goes_on_is_read_ahead_for_and_who_jumps_is_not() -> None:
    asked: list[list[int]] = []

    async def read(contents: Sequence[int]) -> dict[int, str]:
        asked.append(list(contents))
        return {n: f"of {n}" for i, n in enumerate(contents) if n != LARGE or i == 0}

    ahead = Ahead(array("q", range(100, 140)), read, most=4)
    found = [await ahead.of(at) for at in range(12)]
    await ahead.of(30)
    await ahead.of(2)

    assert found == [f"of {n}" for n in range(100, 112)]
    assert asked == [
        [100],
        [101, 102],
        [103, 104, 105, 106],
        [107, 108, 109, 110],
        [111, 112, 113, 114],
        [130],
        [102],
    ]


async def test_what_is_left_out_because_it_is_large_is_read_when_it_is_asked_for() -> None:
    async def read(contents: Sequence[int]) -> dict[int, int]:
        return {n: n for i, n in enumerate(contents) if n not in (LARGE, 108) or i == 0}

    ahead = Ahead(array("q", range(105, 112)), read, most=4)

    assert [await ahead.of(at) for at in range(7)] == list(range(105, 112))


async def test_what_is_not_there_is_none() -> None:
    async def read(_: Sequence[int]) -> dict[int, int]:
        return {}

    assert await Ahead(array("q", [1]), read, most=4).of(0) is None
