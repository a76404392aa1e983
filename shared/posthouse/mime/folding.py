"""The form in which texts are compared: what a reader holds for equal is equal. Pure.

Case and width do not count, nor how accents are written (RFC 5051), nor where lines end, how wide a gap
is, and what is not seen in a word. Texts and what is looked for are folded; then a substring is right.
"""

from __future__ import annotations

import unicodedata
from typing import Final

# Soft hyphen, and what allows or forbids a line's end: mailers put them into words.
_INVISIBLE: Final = ("\u00ad", "\u200b", "\u2060", "\ufeff")


def fold(text: str) -> str:
    """Return ``text`` in the form in which texts are compared."""
    if text.isascii():
        return _with_single_spaces(text.lower())
    for each in _INVISIBLE:
        text = text.replace(each, "")
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return _with_single_spaces(folded)


def _with_single_spaces(text: str) -> str:
    """Return ``text`` with one space for any white space, at its ends, too."""
    words = " ".join(text.split())
    if not words:
        return " " if text else ""
    before = " " if text[0].isspace() else ""
    return before + words + (" " if text[-1].isspace() else "")
