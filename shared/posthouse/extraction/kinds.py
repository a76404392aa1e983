"""Which parts of a message are documents whose text can be read; nothing is decoded for that."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from posthouse.mime import Part, Parts
from posthouse.mime.fields import CONTENT_FIELDS, pick
from posthouse.mime.parameters import parse_content_type, parse_disposition, parse_token
from posthouse.mime.structure import LEAF
from posthouse.mime.text import decode_words

_OFFICE = b"application/vnd.openxmlformats-officedocument."
_ODF = b"application/vnd.oasis.opendocument."
PDF = b"application/pdf"
WORD = _OFFICE + b"wordprocessingml.document"
SHEET = _OFFICE + b"spreadsheetml.sheet"
SLIDES = _OFFICE + b"presentationml.presentation"
OPEN: Final = frozenset(_ODF + kind for kind in (b"text", b"spreadsheet", b"presentation"))
_KINDS: Final = frozenset({PDF, WORD, SHEET, SLIDES}) | OPEN
_BY_NAME: Final = MappingProxyType({
    "pdf": PDF,
    "docx": WORD,
    "xlsx": SHEET,
    "pptx": SLIDES,
    "odt": _ODF + b"text",
    "ods": _ODF + b"spreadsheet",
    "odp": _ODF + b"presentation",
})  # fmt: skip


def document_kind(kind: bytes, name: str) -> bytes | None:
    """Return the media type of a document, None if it is none that is known.

    Args:
        kind: Its media type, lower case.
        name: Its file name, which tells where the type does not.
    """
    return kind if kind in _KINDS else _BY_NAME.get(name.rpartition(".")[2].lower())


def described(octets: bytes, part: Part) -> tuple[bytes | None, bytes]:
    """Return the `document_kind` of a leaf, and its transfer encoding."""
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
    return document_kind(kind.value if kind else b"", decode_words(name)), encoding


def has_documents(octets: bytes, parts: Parts) -> bool:
    """Say whether there is a document in a message."""
    return any(described(octets, part)[0] for part in parts if part.kind == LEAF)
