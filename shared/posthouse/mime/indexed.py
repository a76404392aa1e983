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
    found: set[str] = set()
    for text in texts:
        found.update(_grams(_plain(text)))
    return sorted(_keys(account, found)) if len(found) <= MAX_GRAMS else None


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


def _keys(account: int, grams: Iterable[str]) -> set[int]:
    seed = crc32(struct.pack(">q", account))
    return {crc32(gram.encode("utf-8", "replace"), seed) - _SIGN for gram in grams}
