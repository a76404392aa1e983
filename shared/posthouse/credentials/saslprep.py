"""SASLprep (RFC 4013): one password, one string, however the keyboard composed it. Pure."""

from __future__ import annotations

import stringprep as tables
import unicodedata

_PROHIBITED = (  # RFC 4013 §2.3, §2.5
    tables.in_table_c12,
    tables.in_table_c21_c22,
    tables.in_table_c3,
    tables.in_table_c4,
    tables.in_table_c5,
    tables.in_table_c6,
    tables.in_table_c7,
    tables.in_table_c8,
    tables.in_table_c9,
    tables.in_table_a1,
)


def prepared(text: str) -> str:
    """Return ``text`` as both sides must see it before it is hashed (RFC 5802 §2.2).

    Text that SASLprep prohibits is returned as it is: it has been a password here, and a client
    that sends it unprepared is right to.
    """
    if text.isascii():
        return text
    spaces = "".join(" " if tables.in_table_c12(c) else c for c in text)
    mapped = "".join(c for c in spaces if not tables.in_table_b1(c))
    form = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if not form or any(is_bad(c) for c in form for is_bad in _PROHIBITED):
        return text
    return form if _is_of_one_direction(form) else text


def _is_of_one_direction(text: str) -> bool:
    """True if ``text`` keeps the rule on letters that run from right to left (RFC 3454 §6)."""
    if not any(map(tables.in_table_d1, text)):
        return True
    if any(map(tables.in_table_d2, text)):
        return False
    return tables.in_table_d1(text[0]) and tables.in_table_d1(text[-1])
