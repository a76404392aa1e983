"""The text of a message for searching: decoded, folded, in no particular form (RFC 3501 §6.4.4).

Folding makes what a reader holds for equal equal: case, width, and how accents are written. Both
the text and what is looked for are folded; then a plain substring search is right.

Any octets are read, in linear time: charsets are those of `charsets` and not whatever Python has
a codec for, and text beyond `MAX_TEXT_OCTETS` of one message is not searched.
"""

from __future__ import annotations

import binascii
import html
import re
import unicodedata
from base64 import b64decode
from collections.abc import Iterator
from quopri import decodestring
from typing import Final

from posthouse.mime.charsets import decode
from posthouse.mime.fields import CONTENT_FIELDS, pick, unfold
from posthouse.mime.parameters import Parametric, parse_content_type, parse_token
from posthouse.mime.parts import Part, Parts
from posthouse.mime.structure import TEXT

# encoded-word = "=?" charset "?" encoding "?" encoded-text "?=" (RFC 2047 §2; language: RFC 2231 §5)
_ENCODED_WORD = re.compile(rb"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([BbQq])\?([^?\s]*)\?=")
_BETWEEN_WORDS = re.compile(rb"(?<=\?=)[ \t\r\n]+(?==\?[^?\s]+\?[BbQq]\?)")
# Written so that rubbish costs no more than once its length: a tag never reaches over a "<".
_TAG = re.compile(r"<[^<>]*>")
_UNSEEN = re.compile(r"<!--|<(?:style|script)\b", re.IGNORECASE)
_UNSEEN_END = re.compile(r"</(?:style|script)[^<>]*>", re.IGNORECASE)
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
PLAIN: Final = Parametric(b"text/plain", ())

MAX_TEXT_OCTETS = 8_388_608  # of decoded text parts of one message


def fold(text: str) -> str:
    """Return ``text`` in the form in which texts are compared."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())


def decode_words(field: bytes) -> str:
    """Return the text of an unstructured field: encoded words decoded (RFC 2047 §6.2)."""
    if b"=?" not in field:
        return decode(field)
    field = _BETWEEN_WORDS.sub(b"", field)
    pieces, at = [], 0
    for word in _ENCODED_WORD.finditer(field):
        pieces.append(decode(field[at : word.start()]))
        pieces.append(decode(_word(word[2].upper(), word[3]), word[1]))
        at = word.end()
    return "".join(pieces) + decode(field[at:])


def header_lines(header: bytes) -> Iterator[tuple[str, str]]:
    """Yield names (lower case) and folded texts of the fields of a header."""
    for line in unfold(header).split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon:
            shown = name.strip().decode("ascii", "replace").lower()
            yield shown, fold(decode_words(value.strip(b" \t\r")))


def may_have(header: bytes, text: str) -> bool:
    """Return False if no line of `header_lines` has the folded ``text``, at a tenth of their cost.

    True tells nothing: where letters are encoded, all must be folded to know.
    """
    if not header.isascii() or b"=?" in header or "\n" in text or "\r" in text:
        return True
    return text.isascii() and text.encode() in unfold(header).lower()


def search_text(octets: bytes, parts: Parts) -> str:
    """Return the folded text of a message's body: its text parts, decoded, and their headers.

    Headers of parts are searched with the body (RFC 3501 §6.4.4 BODY), the message's own are not.
    """
    pieces: list[str] = []
    left = MAX_TEXT_OCTETS
    for part in parts:
        if part.depth:
            pieces += [text for _, text in header_lines(octets[part.start : part.body])]
        if part.kind == TEXT and left:
            text, used = _text_of(octets, part, left)
            pieces.append(fold(text))
            left -= used
    return "\n".join(pieces)


def _text_of(octets: bytes, part: Part, limit: int) -> tuple[str, int]:
    """Return the text of a leaf without its transfer encoding, HTML without its tags too.

    At most ``limit`` octets of it; the second value is how many it took.
    """
    fields = pick(octets[part.start : part.body], CONTENT_FIELDS)
    kind = parse_content_type(fields.get(b"content-type", [b""])[0]) or PLAIN
    encoding = parse_token(fields.get(b"content-transfer-encoding", [b""])[0])
    body = decoded_body(octets[part.body : min(part.end, part.body + 4 * limit)], encoding)[:limit]
    text = decode(body, kind.get(b"charset"))
    return (visible(text) if kind.value == b"text/html" else text), len(body)


def visible(page: str) -> str:
    """Return what a reader sees of a page of HTML: no comments, styles, scripts, tags."""
    pieces, at = [], 0
    while hidden := _UNSEEN.search(page, at):
        pieces.append(page[at : hidden.start()])
        if hidden[0] == "<!--":
            end = page.find("-->", hidden.end())
            at = end + len("-->") if end >= 0 else len(page)
        else:
            close = _UNSEEN_END.search(page, hidden.end())
            at = close.end() if close else len(page)
    text = _TAG.sub(" ", " ".join([*pieces, page[at:]]))
    try:
        return html.unescape(text)
    except ValueError:  # a character reference of thousands of digits
        return text


def decoded_body(body: bytes, encoding: bytes) -> bytes:
    """Undo a transfer encoding, as far as it goes (RFC 2045 §6.7, §6.8)."""
    if encoding == b"base64":
        return _base64(body)
    return decodestring(body) if encoding == b"quoted-printable" else body


def _base64(body: bytes) -> bytes:
    clean = _NOT_BASE64.sub(b"", body)
    clean = clean[: len(clean) - (len(clean) % 4 == 1)]
    try:
        return b64decode(clean + b"=" * (-len(clean) % 4))
    except binascii.Error:
        return b""


def _word(encoding: bytes, text: bytes) -> bytes:
    """Undo the encoding of an encoded word (RFC 2047 §4)."""
    return _base64(text) if encoding == b"B" else decodestring(text.replace(b"_", b" "))
