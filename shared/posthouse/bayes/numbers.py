"""Tokens as numbers of 64 bits: what is kept tells nobody what people wrote. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import Final

KNOWN_WORDS: Final = 50_000  # are remembered, some ten megabytes
_OCTETS = 8
_MASK: Final = (1 << 64) - 1
_HALF: Final = 1 << 63
_ODD: Final = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio: neighbours fall far apart


def number(token: str) -> int:
    """Return the number of ``token``, between -2^63 and 2^63: a bigint of PostgreSQL."""
    octets = token.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(octets, digest_size=_OCTETS).digest(), "big", signed=True)


word_number = lru_cache(KNOWN_WORDS)(number)


def pair_numbers(words: Iterable[int]) -> Iterator[int]:
    """Yield a number for each pair of words that follow each other."""
    for first, second in pairwise(words):
        yield ((first * _ODD + second) & _MASK) - _HALF
