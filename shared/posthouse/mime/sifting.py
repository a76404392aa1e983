"""Which texts a message's body has, found without folding all of it. Pure.

The answer is that of `posthouse.mime.text.search_text`, at a tenth of its cost where the body is ASCII:
there folding changes case alone, and how wide a gap is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from posthouse.mime.folding import fold
from posthouse.mime.parts import Parts
from posthouse.mime.text import header_lines, leaf_texts, may_have


def body_has(octets: bytes, parts: Parts, wanted: Sequence[str]) -> set[str]:
    """Return those of ``wanted``, which are folded, that the folded text of a message's body has."""
    found: set[str] = {text for text in wanted if len(text) == 0}
    for folded in _header_texts(octets, parts, wanted):
        found.update(one for one in wanted if one in folded)
    for text in leaf_texts(octets, parts):
        if len(found) == len(wanted):
            break
        found.update(_had(text, [one for one in wanted if one not in found]))
    return found


def _header_texts(octets: bytes, parts: Parts, wanted: Sequence[str]) -> Iterator[str]:
    for part in parts:
        header = octets[part.start : part.body] if part.depth else b""
        if header and any(may_have(header, text) for text in wanted):
            yield from (_kept(text) for _, text in header_lines(header))


def _had(text: str, wanted: Sequence[str]) -> Sequence[str]:
    if text.isascii():
        lower = text.lower()
        wanted = [one for one in wanted if all(word in lower for word in one.split())]
        if all(one.split() == [one] for one in wanted):  # no gap in it
            return wanted
    folded = _kept(fold(text))
    return [one for one in wanted if one in folded]


def _kept(folded: str) -> str:
    """Return a text as PostgreSQL would keep it, and compare it."""
    return folded.replace("\0", " ")
