"""What is kept of a message so that it is found: folded texts, sort values, grams. Pure.

Grams are pieces of folded text: three letters or digits that follow each other, or two characters of
East Asian scripts, which have short words. What contains a text contains its grams, so a search looks
for these first and tests only the messages that have them all. Accents are no part of grams.
"""

from __future__ import annotations

import re
import struct
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import chain
from typing import Final
from zlib import crc32

from posthouse.mime.ordering import ordering_of
from posthouse.mime.text import header_lines

MAX_WANTED_GRAMS = 12  # more do not narrow a search any further
MAX_GRAMS = 100_000  # of one message; one that has more is tested whenever it is searched

_EAST: Final = "\u1100-\u11ff\u2e80-\ud7ff\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff"
_WORDS = re.compile(rf"[^\W_{_EAST}]{{3,}}")
_EASTERN = re.compile(rf"[{_EAST}]{{2,}}")
_SIGN = 1 << 31
_GRAM: Final = 3
# ASCII that is no letter or digit; text is folded, so there are no capitals.
_SEPARATED: Final = bytes(
    ord(" ") if (c := chr(octet)).isascii() and not c.isalnum() else octet for octet in range(256)
)
KNOWN_WORDS: Final = 20_000  # are remembered, ten megabytes at most
LONGEST_KNOWN: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderText:
    """The header of one message, folded, and what it is sorted by.

    Attributes:
        header: A line ``name: text`` for each field.
        sent: Unix seconds of the Date field, None if it tells nothing; ``sent_day`` as it is written.
        sort_texts: Base subject; local parts of From, To, Cc; display values of From and To.
        ident: Stands for the message id; ``references`` for those of its ancestors.
    """

    content: int
    sender: str
    to: str
    cc: str
    subject: str
    header: str
    sent: int | None
    sent_day: date | None
    sort_texts: tuple[str, str, str, str, str, str]
    is_reply: bool
    ident: int | None
    references: tuple[int, ...]


def header_text(content: int, header: bytes) -> HeaderText:
    """Fold a header, and read what it is sorted by."""
    lines, order = list(header_lines(header)), ordering_of(header)

    def of(name: str) -> str:
        return "\n".join(text for key, text in lines if key == name)

    return HeaderText(
        content=content,
        sender=of("from"),
        to=of("to"),
        cc=of("cc"),
        subject=of("subject"),
        header="\n".join(f"{name}: {text}" for name, text in lines),
        sent=order.sent,
        sent_day=order.sent_day,
        sort_texts=(order.subject, order.sender, order.to, order.cc, order.shown_sender,
                    order.shown_to),
        is_reply=order.is_reply,
        ident=order.ident,
        references=order.references,
    )  # fmt: skip


def gram_keys(account: int, *texts: str) -> list[int] | None:
    """Return numbers of 32 bits for all grams in folded texts, another for each account.

    None if they are too many.
    """
    chunks = set(chain.from_iterable(map(_chunks, texts)))
    others = {chunk for chunk in chunks if not chunk.isascii()}
    long = {chunk for chunk in chunks if len(chunk) > LONGEST_KNOWN} - others
    plain = set(chain.from_iterable(map(_numbers, chunks - others - long)))
    plain.update(chain.from_iterable(map(_count, long)))
    grams = set[str]()
    for chunk in others:
        grams.update(_grams(_plain(chunk.decode())))
        if len(grams) > MAX_GRAMS:
            return None
    seed = _seed(account)
    turn = crc32(bytes(_GRAM), seed) ^ crc32(bytes(_GRAM))  # CRC is linear
    keys = [(number ^ turn) - _SIGN for number in plain]
    if grams:
        keys += _keys(account, grams).difference(keys)
    return keys if len(keys) <= MAX_GRAMS else None


def _chunks(text: str) -> list[bytes]:
    """Cut a text where no gram reaches over."""
    return text.encode("utf-8", "replace").translate(_SEPARATED).split()


def _count(word: bytes) -> tuple[int, ...]:
    """Return a number for each gram of an ASCII word, the same for all accounts."""
    return tuple(crc32(word[at : at + _GRAM]) for at in range(len(word) - _GRAM + 1))


_numbers = lru_cache(KNOWN_WORDS)(_count)


def wanted_keys(account: int, text: str) -> list[int]:
    """Return some numbers that every message has which contains the folded ``text``; maybe none."""
    found = sorted(set(_grams(_plain(text))))
    step = max(len(found) // MAX_WANTED_GRAMS, 1)
    return sorted(_keys(account, found[::step]))


def _plain(text: str) -> str:
    if text.isascii():
        return text
    return "".join(c for c in text if not unicodedata.combining(c))


def _grams(text: str) -> Iterable[str]:
    for word in set(_WORDS.findall(text)):
        for at in range(len(word) - 2):
            yield word[at : at + 3]
    if not text.isascii():
        for word in set(_EASTERN.findall(text)):
            for at in range(len(word) - 1):
                yield word[at : at + 2]


def _seed(account: int) -> int:
    return crc32(struct.pack(">q", account))


def _keys(account: int, grams: Iterable[str]) -> set[int]:
    seed = _seed(account)
    return {crc32(gram.encode("utf-8", "replace"), seed) - _SIGN for gram in grams}
