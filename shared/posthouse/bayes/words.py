"""Words of decoded text, addresses of the web in it: what SpamAssassin and Bogofilter take. Pure.

Text is cut at white space, and what a piece stands for is remembered: mail repeats itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from itertools import chain
from typing import Final

from posthouse.bayes.numbers import word_number

LONGEST = 20  # characters; a longer word is known by its beginning
KNOWN_PIECES: Final = 30_000  # are remembered, some ten megabytes
LONGEST_PIECE: Final = 64
KNOWN_HOSTS: Final = 10_000  # likewise, of 255 characters at most
_BEGINNING = 7
_EAST: Final = "\u2e80-\ud7ff\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff"
_WORD = re.compile(rf"[^\W\d_{_EAST}][\w'’-]{{2,400}}")
_MONEY = re.compile(r"[$€£¥]\d|\d(?:[$€£¥]|usd\b|eur\b)")
_EASTERN = re.compile(rf"[{_EAST}]{{2,400}}")
_URL = re.compile(r"(?:://|\bwww\.)([^\s\"'<>/?#\\]{1,255})")
_NUMERIC = re.compile(r"[\d.]+|\[[0-9a-f:.]*\]|0x[0-9a-f]+")
_SHOUTED = 4  # capitals
_MANY = 20  # words in capitals


def words_of(text: str) -> list[str]:
    """Return the words of ``text`` in their order, in lower case; East Asian ones by two characters."""
    low = text.lower()
    found = [
        word if len(word) <= LONGEST else f"{word[:_BEGINNING]}…" for word in _WORD.findall(low)
    ]
    if not low.isascii():
        for run in _EASTERN.findall(low):
            found += [run[at : at + 2] for at in range(len(run) - 1)]
    return found


def numbers_of(pieces: Collection[str]) -> Iterator[int]:
    """Yield the numbers of what the ``pieces`` of a text hold: words, links, money."""
    if max(map(len, pieces), default=0) <= LONGEST_PIECE:
        return chain.from_iterable(map(_known, pieces))
    return chain.from_iterable(
        _known(piece) if len(piece) <= LONGEST_PIECE else _numbers(piece) for piece in pieces
    )


def _numbers(piece: str) -> tuple[int, ...]:
    found = list(map(word_number, words_of(piece)))
    low = piece.lower()
    if "://" in low or "www." in low:
        for url in _URL.finditer(low):
            found += map(word_number, host_tokens(url[1]))
    if _MONEY.search(low):
        found.append(word_number("t:money"))
    return tuple(found)


_known = lru_cache(KNOWN_PIECES)(_numbers)


def shouting(pieces: list[str]) -> Iterator[str]:
    """Yield what words in capitals tell."""
    shouted = sum(1 for piece in pieces if len(piece) >= _SHOUTED and piece.isupper())
    if shouted:
        yield "t:shouts much" if shouted > _MANY else "t:shouts"


def _host_tokens(authority: str) -> Iterator[str]:
    user, _, host = authority.rpartition("@")
    if user:
        yield "u:with user"
    host, _, port = host.partition(":") if not host.startswith("[") else (host, "", "")
    if port:
        yield "u:with port"
    if _NUMERIC.fullmatch(host):
        yield "u:numeric"
    host = host.rstrip(".,;:!)")
    yield f"u:{host}"
    yield from (f"u:{domain}" for domain in domains_of(host))


@lru_cache(KNOWN_HOSTS)
def host_tokens(authority: str) -> tuple[str, ...]:
    """Return tokens of a host in lower case, perhaps with a port and a user before it."""
    return tuple(_host_tokens(authority))


def domains_of(host: str) -> Iterator[str]:
    """Yield the last two labels of ``host``, and the last: whose it may be, and where."""
    labels = host.rsplit(".", 2)
    if len(labels) > 1:
        yield ".".join(labels[-2:])
        yield labels[-1]
