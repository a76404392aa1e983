"""A letter: one message as rules see it. What nobody looks at is not made; all of it is bounded."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import re2

from posthouse.mail.derived import derived
from posthouse.mail.header import fields, header_end, unfold
from posthouse.mime.addresses import parse_addresses
from posthouse.mime.charsets import decode
from posthouse.mime.hypertext import charset_within, visible
from posthouse.mime.parameters import parse_token
from posthouse.mime.structure import TEXT, Entity, leaves_of, read_tree
from posthouse.mime.text import decode_words, decoded_body
from posthouse.rules.definitions import Place
from posthouse.rules.perl import options

MAX_HEADER_OCTETS: Final = 32_768  # of one field in all its occurrences
MAX_ADDRESS_OCTETS: Final = 4_096  # of a field whose first address is looked for
MAX_TEXT_OCTETS: Final = 131_072  # of each of: body, raw body
MAX_FULL_OCTETS: Final = 262_144
MAX_URIS: Final = 500
MAX_URI_OCTETS: Final = 2_048

_IDS: Final = (b"message-id", b"resent-message-id", b"x-message-id")
_EMPTY_LINE = re.compile(r"\n[ \t\r]*\n")
# In linear time over any page, so not by Python's engine.
_LINK = re2.compile(
    # Wherever such an attribute stands in its tag, behind whichever others.
    rb"""(?i)[\s/"'](?:xlink:href|href|src|action|formaction|background|(srcset|style|content))"""
    rb"""\s*=\s*("[^"<>]*"|'[^'<>]*'|[^\s"'<>]+)""",
    options(),
)
_ADDRESS = re2.compile(
    rb"""(?i)\b(?:https?://|ftp://|www\.)[^\s<>"'\\^`{|}\x00-\x20]+""", options()
)
_SCHEME = re.compile(r"(?i)[a-z][a-z0-9+.-]{0,20}:")
_TAIL: Final = ".,;:!?)]'"


@dataclass(frozen=True)
class _Leaf:
    text: str
    is_page: bool

    @derived
    def shown(self) -> str:
        return visible(self.text) if self.is_page else self.text


@dataclass(frozen=True, kw_only=True)  # no slots: what is derived is kept
class Letter:
    """What is looked at.

    Attributes:
        octets: The message, or its beginning.
        sender: The reverse path.
    """

    octets: bytes
    sender: str = ""

    @derived
    def full(self) -> bytes:
        """The message as it came."""
        return self.octets[:MAX_FULL_OCTETS].replace(b"\r\n", b"\n")

    @derived
    def body(self) -> bytes:
        """The Subject, then the paragraphs of its texts as a reader sees them, a line each."""
        paragraphs = [self.header(Place("subject")) or b""]
        for leaf in self._leaves:
            lines = (" ".join(each.split()) for each in _EMPTY_LINE.split(leaf.shown))
            paragraphs += [line.encode("utf-8", "replace") for line in lines if line]
        return b"\n".join(paragraphs)[:MAX_TEXT_OCTETS]

    @derived
    def rawbody(self) -> bytes:
        """Its text parts without transfer encoding; pages with their tags."""
        joined = "\n".join(leaf.text for leaf in self._leaves).encode("utf-8", "replace")
        return joined.replace(b"\r\n", b"\n")[:MAX_TEXT_OCTETS]

    @derived
    def uri(self) -> bytes:
        """The addresses that its texts and the links of its pages lead to, a line each."""
        found = dict[bytes, None]()
        for each in self._addresses():
            octets = each.encode("utf-8", "replace")[:MAX_URI_OCTETS]
            if octets:
                found.setdefault(octets)
            if len(found) >= MAX_URIS:
                break
        return b"\n".join(found)

    def header(self, place: Place) -> bytes | None:
        """Return what stands at ``place``, several fields a line each; None if nothing does."""
        if place not in self._shown:
            self._shown[place] = self._look_at(place)
        return self._shown[place]

    @derived
    def _shown(self) -> dict[Place, bytes | None]:
        return {}

    def _look_at(self, place: Place) -> bytes | None:
        if place.name == "all":
            return self._all if place.form == "raw" else self._all_decoded
        if place.name == "envelopefrom":
            return self.sender.encode("utf-8", "replace")
        found = [value for name in _names(place.name) for value in self._fields.get(name, ())]
        if not found:
            return None
        return _joined(_formed(value, place.form) for value in found)

    @derived
    def _all(self) -> bytes:
        return self.octets[: header_end(self.octets)][:MAX_HEADER_OCTETS].replace(b"\r\n", b"\n")

    @derived
    def _all_decoded(self) -> bytes:
        return _joined(name + b": " + _formed(value, "") for name, value in fields(self._header))

    @property
    def _header(self) -> bytes:
        return self.octets[: header_end(self.octets)]

    @derived
    def _fields(self) -> dict[bytes, list[bytes]]:
        found = dict[bytes, list[bytes]]()
        for name, value in fields(self._header):
            found.setdefault(name.lower(), []).append(value)
        return found

    @derived
    def tree(self) -> Entity:
        """Its structure, as far as that is looked at."""
        return read_tree(self.octets[:MAX_FULL_OCTETS])

    @derived
    def _leaves(self) -> tuple[_Leaf, ...]:
        left, found = MAX_TEXT_OCTETS, []
        for part in leaves_of(self.tree):
            if part.kind == TEXT and left > 0:
                leaf = _leaf(self.octets, part, left)
                left -= len(leaf.text)
                found.append(leaf)
        return tuple(found)

    def _addresses(self) -> Iterator[str]:
        for leaf in self._leaves:
            if leaf.is_page:
                for link in _LINK.finditer(leaf.text.encode("utf-8", "replace")):
                    if link[1] is None:
                        yield _link(link[2].decode("utf-8", "replace"))
                    else:  # a text with addresses in it
                        yield from _found_in(link[2])
            yield from _found_in(leaf.shown.encode("utf-8", "replace"))


def _found_in(text: bytes) -> Iterator[str]:
    for match in _ADDRESS.finditer(text):
        shown = match[0].decode("utf-8", "replace").rstrip(_TAIL)
        yield shown if _SCHEME.match(shown) else f"http://{shown}"


def _leaf(octets: bytes, part: Entity, limit: int) -> _Leaf:
    kind, encoding = part.type, parse_token(part.fields.get(b"content-transfer-encoding", [b""])[0])
    body = decoded_body(octets[part.body : min(part.end, part.body + 4 * limit)], encoding)[:limit]
    charset = kind.get(b"charset")
    if kind.value == b"text/html":
        return _Leaf(decode(body, charset or charset_within(body)), is_page=True)
    return _Leaf(decode(body, charset), is_page=False)


def _link(value: str) -> str:
    text = "".join(value.strip("\"'").split())[:MAX_URI_OCTETS]
    with suppress(ValueError):  # a character reference of thousands of digits
        text = html.unescape(text)
    return f"http:{text}" if text.startswith("//") else text


def _joined(pieces: Iterable[bytes]) -> bytes:
    """Return ``pieces``, a line each; what is beyond the bound is not even made."""
    found, left = list[bytes](), MAX_HEADER_OCTETS
    for piece in pieces:
        found.append(piece)
        left -= len(piece) + 1
        if left <= 0:
            break
    return b"\n".join(found)[:MAX_HEADER_OCTETS]


def _names(name: str) -> tuple[bytes, ...]:
    if name == "tocc":
        return (b"to", b"cc")
    return _IDS if name == "messageid" else (name.encode(),)


def _formed(value: bytes, form: str) -> bytes:
    """Return a field's value: as it came, its first address, that one's name, or its text."""
    if form == "raw":
        return value.strip(b" \t").replace(b"\r\n", b"\n")
    plain = unfold(value)[:MAX_HEADER_OCTETS]
    if not form:
        return decode_words(plain).encode("utf-8", "replace")
    some = parse_addresses(plain[:MAX_ADDRESS_OCTETS])
    first = next((each for each in some if each.local is not None), None)
    if first is None:
        return b""
    if form == "name":
        return decode_words(first.name or b"").encode("utf-8", "replace")
    return (first.local or b"") + (b"@" + first.host if first.host else b"")
