"""Which parts of a message are documents, and their text."""

from __future__ import annotations

from collections.abc import Iterator

from posthouse.extraction.documents import document_text
from posthouse.mime import Part, Parts
from posthouse.mime.fields import CONTENT_FIELDS, pick
from posthouse.mime.parameters import parse_content_type, parse_disposition, parse_token
from posthouse.mime.structure import LEAF
from posthouse.mime.text import decode_words, decoded_body, fold

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
    fields = pick(octets[part.start : part.body], CONTENT_FIELDS)

    def first(name: bytes) -> bytes:
        return fields.get(name, [b""])[0]

    kind, disposition = (
        parse_content_type(first(b"content-type")),
        parse_disposition(first(b"content-disposition")),
    )
    name = (disposition.get(b"filename") if disposition else b"") or (
        kind.get(b"name") if kind else b""
    )
    encoding = parse_token(first(b"content-transfer-encoding"))
    body = decoded_body(octets[part.body : part.end], encoding)
    return document_text(kind.value if kind else b"", decode_words(name), body)
