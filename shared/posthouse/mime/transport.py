"""A message without binary parts: what any server and any reader can take (RFC 3030 §3, §4).

Parts whose Content-Transfer-Encoding is ``binary`` become base64 (RFC 2045 §6.8), octet for octet;
multiparts and messages that are called so, because of what is in them, become ``8bit``: they may
have no other encoding (RFC 2045 §6.4). All else stays as it is.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from posthouse.mime.pages import Octets
from posthouse.mime.parameters import parse_token
from posthouse.mime.structure import LEAF, TEXT, Entity, read_tree

_LINE_OCTETS = 57  # of the part in a line of base64, RFC 2045 §6.8
_LINE_CHARACTERS = 76
_PORTION_OCTETS = _LINE_OCTETS * 4096
_FIELD = re.compile(rb"(?im)^content-transfer-encoding[ \t]*:(?:[^\n]|\n[ \t])*\n?")
_BINARY = b"binary"


def transportable(octets: Octets) -> Iterator[bytes]:
    """Yield the message in ``octets``, without binary parts, in portions of bounded size."""
    at = 0
    for entity in _called_binary(read_tree(octets)):
        yield from _copied(octets, at, entity.start)
        is_part = entity.kind in {LEAF, TEXT}
        yield _called(octets[entity.start : entity.body], b"base64" if is_part else b"8bit")
        at = entity.body
        if is_part:
            yield from _in_base64(octets, entity.body, entity.end)
            at = entity.end
    yield from _copied(octets, at, len(octets))


def _called_binary(root: Entity) -> Iterator[Entity]:
    """Yield the entities that say they are binary, in the order of the octets."""
    todo = [root]
    while todo:
        entity = todo.pop()
        encodings = entity.fields.get(b"content-transfer-encoding")
        if encodings and parse_token(encodings[0]).lower() == _BINARY:
            yield entity
        todo.extend(reversed(entity.children))


def _called(header: bytes, encoding: bytes) -> bytes:
    """Return ``header`` with another Content-Transfer-Encoding; its fields of that name are one."""
    fields = iter([b"Content-Transfer-Encoding: %s\r\n" % encoding])
    return _FIELD.sub(lambda _: next(fields, b""), header)


def _copied(octets: Octets, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, _PORTION_OCTETS):
        yield octets[at : min(at + _PORTION_OCTETS, end)]


def _in_base64(octets: Octets, start: int, end: int) -> Iterator[bytes]:
    """Yield lines of base64 with line ends between them, none behind the last."""
    for portion in _copied(octets, start, end):
        characters = binascii.b2a_base64(portion, newline=False)
        starts = range(0, len(characters), _LINE_CHARACTERS)
        lines = [characters[at : at + _LINE_CHARACTERS] for at in starts]
        start += len(portion)
        yield b"\r\n".join(lines) + (b"\r\n" if start < end else b"")
