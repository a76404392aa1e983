"""Large values come in pieces and are put together again, whatever their size."""

from __future__ import annotations

import pytest

from posthouse.storage.packed import PIECE_OCTETS, fetch_packed
from posthouse.storage.pool import Pool

pytestmark = pytest.mark.integration

_NUMBERS = "select string_agg(int8send(n), '' order by n) from generate_series(1, $1::int) n"
_A_PIECE = PIECE_OCTETS // 8


@pytest.mark.parametrize("many", [0, 1, _A_PIECE, _A_PIECE + 1, 5 * _A_PIECE - 1])
async def test_what_was_cut_is_whole_again(pool: Pool, many: int) -> None:
    packed = await fetch_packed(pool, _NUMBERS, many)

    assert packed == b"".join(n.to_bytes(8, "big") for n in range(1, many + 1))
