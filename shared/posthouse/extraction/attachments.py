"""The texts of the documents in a message."""

from __future__ import annotations

from collections.abc import Iterator

from posthouse.extraction.documents import document_text
from posthouse.extraction.kinds import described
from posthouse.mime import Part, Parts
from posthouse.mime.folding import fold
from posthouse.mime.structure import LEAF
from posthouse.mime.text import decoded_body

MAX_DOCUMENTS = 100  # of one message
MAX_TEXT = 8 * 1024 * 1024  # characters of all of them


def attached_texts(octets: bytes, parts: Parts) -> Iterator[str]:
    """Yield the folded texts of the documents in a message."""
    count = size = 0
    for part in parts:
        if part.kind != LEAF or count >= MAX_DOCUMENTS or size >= MAX_TEXT:
            continue
        text = _text_of(octets, part)
        if text:
            count, size = count + 1, size + len(text)
            yield fold(text)


def _text_of(octets: bytes, part: Part) -> str | None:
    kind, encoding = described(octets, part)
    if kind is None:
        return None
    return document_text(kind, decoded_body(octets[part.body : part.end], encoding))
