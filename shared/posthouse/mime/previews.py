"""The first words of a message, as lists show them beside its subject (RFC 8970 §3.3)."""

from __future__ import annotations

from posthouse.mime.charsets import decode
from posthouse.mime.fields import CONTENT_FIELDS, pick
from posthouse.mime.hypertext import visible
from posthouse.mime.parameters import parse_content_type, parse_token
from posthouse.mime.parts import Part, Parts
from posthouse.mime.structure import TEXT
from posthouse.mime.text import PLAIN, decoded_body

MAX_CHARACTERS = 200  # §3.3: should be no more
READ_OCTETS = 262_144  # of a message: what stands behind them is no beginning
_PLAIN_OCTETS, _PAGE_OCTETS = 8192, 65_536  # of a part; a page begins with what nobody sees


def preview(octets: bytes, parts: Parts) -> str:
    """Return the beginning of what a reader sees; empty if there is no text.

    Plain text goes before HTML, one's own words before those that are quoted.

    Args:
        octets: The message, or its first `READ_OCTETS`.
        parts: Where its parts are.
    """
    page = ""
    for part in parts:
        if part.kind != TEXT or part.body >= len(octets):
            continue
        fields = pick(octets[part.start : part.body], CONTENT_FIELDS)
        if parse_token(fields.get(b"content-disposition", [b""])[0]) == b"attachment":
            continue
        kind = parse_content_type(fields.get(b"content-type", [b""])[0]) or PLAIN
        encoding = parse_token(fields.get(b"content-transfer-encoding", [b""])[0])
        charset = kind.get(b"charset")
        if kind.value != b"text/html":
            text = decode(_body(octets, part, encoding, _PLAIN_OCTETS), charset)
            if shown := _beginning(text):
                return shown
        elif not page:
            page = visible(decode(_body(octets, part, encoding, _PAGE_OCTETS), charset))
    return _beginning(page)


def _body(octets: bytes, part: Part, encoding: bytes, limit: int) -> bytes:
    return decoded_body(octets[part.body : min(part.end, part.body + limit)], encoding)


def _beginning(text: str) -> str:
    lines = text.splitlines()
    own = [line for line in lines if not line.lstrip().startswith(">")]
    words = " ".join(" ".join(own).split()) or " ".join(" ".join(lines).split())
    return "".join(filter(str.isprintable, words[: 2 * MAX_CHARACTERS]))[:MAX_CHARACTERS].rstrip()
