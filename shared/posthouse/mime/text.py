"""The text of a message for searching: decoded, folded, in no particular form (RFC 3501 §6.4.4).

Both the text and what is looked for are folded (`folding`); then a plain substring search is right.

Any octets are read, in linear time: charsets are those of `charsets` and not whatever Python has
a codec for, and text beyond `MAX_TEXT_OCTETS` of one message is not searched.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator
from quopri import decodestring
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote_to_bytes

from posthouse.mime.charsets import decode, decode_run
from posthouse.mime.continuations import join_continuations
from posthouse.mime.fields import CONTENT_FIELDS, pick, unfold
from posthouse.mime.folding import fold
from posthouse.mime.hypertext import charset_within, visible
from posthouse.mime.parameters import (
    Parametric,
    parse_content_type,
    parse_disposition,
    parse_token,
)
from posthouse.mime.parts import Part, Parts
from posthouse.mime.structure import TEXT

# encoded-word = "=?" charset "?" encoding "?" encoded-text "?=" (RFC 2047 §2; language: RFC 2231 §5)
_ENCODED_WORD = re.compile(rb"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([BbQq])\?([^?\s]*)\?=")
_BETWEEN_WORDS = re.compile(rb"(?<=\?=)[ \t\r\n]+(?==\?[^?\s]+\?[BbQq]\?)")
# A line that goes on in the next one, which may be quoted as deep (RFC 3676 §4.1, §4.5).
_FLOWED = re.compile(r" \r?\n(?:>+ ?| )?")
_SHIFTED: Final = b"\x1b$"  # ISO 2022: such octets are ASCII, and never meant so
_ENCODING: Final = (b"=?", b"*", _SHIFTED)  # without these, an ASCII header says what it says
_WHITE: Final = bytes.maketrans(b"\x1c\x1d\x1e\x1f", b"    ")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_PARAMETRIC: Final = MappingProxyType(
    {"content-type": parse_content_type, "content-disposition": parse_disposition}
)
PLAIN: Final = Parametric(b"text/plain", ())

MAX_TEXT_OCTETS = 8_388_608  # of decoded text parts of one message


def decode_words(field: bytes, hint: bytes = b"") -> str:
    """Return the text of an unstructured field: encoded words decoded (RFC 2047 §6.2).

    Words of one charset that follow each other are read together: mailers cut characters in two.

    Args:
        field: Without line ends.
        hint: The charset of octets that are not encoded and no UTF-8.
    """
    if b"=?" not in field:
        return _raw(field, hint)
    field = _BETWEEN_WORDS.sub(b"", field)
    pieces, at = list[str](), 0
    run, charset = list[bytes](), b""
    for word in _ENCODED_WORD.finditer(field):
        if run and (word.start() != at or word[1].lower() != charset):
            pieces.append(decode_run(run, charset))
            run = []
        if word.start() != at:
            pieces.append(_raw(field[at : word.start()], hint))
        charset, at = word[1].lower(), word.end()
        run.append(_word(word[2].upper(), word[3]))
    if run:
        pieces.append(decode_run(run, charset))
    return "".join(pieces) + _raw(field[at:], hint)


def _raw(octets: bytes, hint: bytes) -> str:
    """Return the text of what is not encoded as it should be (RFC 6532 §3.1 makes it UTF-8)."""
    if _SHIFTED in octets:
        return decode(octets, b"iso-2022-jp")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return decode(octets, hint)


def header_lines(header: bytes) -> Iterator[tuple[str, str]]:
    """Yield names (lower case) and folded texts of the fields of a header.

    Parameters in sections or in percents (RFC 2231) follow their field's text once more, decoded.
    """
    hint = b""
    if not header.isascii():
        kind = parse_content_type(pick(header, CONTENT_FIELDS).get(b"content-type", [b""])[0])
        hint = kind.get(b"charset") if kind else b""
    for line in unfold(header).split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon:
            shown = name.strip().decode("ascii", "replace").lower()
            text = decode_words(value.strip(b" \t\r"), hint)
            yield shown, fold(" ".join([text, *_parameters(shown, value)]))


def _parameters(name: str, value: bytes) -> Iterator[str]:
    """Yield the values of parameters that RFC 2231 encodes."""
    read = _PARAMETRIC.get(name)
    parametric = read(value) if read is not None and b"*" in value else None
    if parametric is not None:
        for key, joined in join_continuations(parametric.parameters):
            if (key, joined) not in parametric.parameters:
                yield decode(joined)
            elif key.endswith(b"*"):  # in a charset that nobody knows
                yield decode(unquote_to_bytes(joined.rpartition(b"'")[2]))


def may_have(header: bytes, text: str) -> bool:
    """Return False if no line of `header_lines` has the folded ``text``, at a tenth of their cost.

    True tells nothing: where letters are encoded, all must be folded to know.
    """
    if not header.isascii() or any(map(header.__contains__, _ENCODING)):
        return True
    words = b" ".join(header.translate(_WHITE).lower().split())
    return text.isascii() and text.encode() in b" %b " % words


def search_text(octets: bytes, parts: Parts) -> str:
    """Return the folded text of a message's body: the headers of its parts, its text parts, decoded.

    Headers of parts are searched with the body (RFC 3501 §6.4.4 BODY), the message's own are not.
    """
    pieces = [
        text
        for part in parts
        if part.depth
        for _, text in header_lines(octets[part.start : part.body])
    ]
    return "\n".join([*pieces, *map(fold, leaf_texts(octets, parts))])


def leaf_texts(octets: bytes, parts: Parts) -> Iterator[str]:
    """Yield the texts of a message's text parts, decoded, not folded: `MAX_TEXT_OCTETS` of all."""
    left = MAX_TEXT_OCTETS
    for part in parts:
        if part.kind == TEXT and left:
            text, used = _text_of(octets, part, left)
            yield text
            left -= used


def _text_of(octets: bytes, part: Part, limit: int) -> tuple[str, int]:
    """Return the text of a leaf without its transfer encoding, HTML without its tags too.

    At most ``limit`` octets of it; the second value is how many it took.
    """
    fields = pick(octets[part.start : part.body], CONTENT_FIELDS)
    kind = parse_content_type(fields.get(b"content-type", [b""])[0]) or PLAIN
    encoding = parse_token(fields.get(b"content-transfer-encoding", [b""])[0])
    body = decoded_body(octets[part.body : min(part.end, part.body + 4 * limit)], encoding)[:limit]
    charset = kind.get(b"charset")
    if kind.value == b"text/html":
        return visible(decode(body, charset or charset_within(body))), len(body)
    text = decode(body, charset)
    if kind.get(b"format").lower() == b"flowed":
        text = _FLOWED.sub("" if kind.get(b"delsp").lower() == b"yes" else " ", text)
    return text, len(body)


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
