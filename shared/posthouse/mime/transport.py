"""A message made to fit who takes it: without binary parts (RFC 3030 §3, §4), or without 8-bit ones (RFC 6152 §3).

Single parts get another Content-Transfer-Encoding, and whoever decodes it gets the same octets;
multiparts and messages, which may have none, are called what is then in them (RFC 2045 §6.4). All
else stays as it is, octet for octet: header fields, also with 8-bit octets, and what stands around
the parts of a multipart, which nobody reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from posthouse.mime.encodings import copied, in_base64, in_quoted_printable, shorter_encoding
from posthouse.mime.pages import Octets
from posthouse.mime.parameters import parse_token
from posthouse.mime.structure import LEAF, MESSAGE, MULTIPART, OPAQUE, TEXT, Entity, read_tree

_FIELD = re.compile(rb"(?im)^content-transfer-encoding[ \t]*:(?:[^\n]|\n[ \t])*\n?")
_MIME_VERSION = re.compile(rb"(?im)^mime-version[ \t]*:")
_BINARY, _EIGHT_BIT, _SEVEN_BIT = b"binary", b"8bit", b"7bit"
_ENCODERS = {b"base64": in_base64, b"quoted-printable": in_quoted_printable}
_ENCODED = frozenset({*_ENCODERS, b"x-uuencode", b"uuencode", b"x-uue", b"uue"})
_SEVEN_BIT_ONLY = frozenset({b"message/partial", b"message/external-body"})  # RFC 2046 §5.2


class Unconvertible(Exception):
    """Not all of the message can be said in 7 bits; the text says what cannot."""


class _Change(NamedTuple):
    """An entity that is called otherwise, and becomes so if ``encoding`` is one that encodes."""

    entity: Entity
    encoding: bytes
    is_message: bool = False


def transportable(octets: Octets) -> Iterator[bytes]:
    """Yield the message in ``octets``, without binary parts, in portions of bounded size."""
    return _changed(octets, _without_binary(read_tree(octets)))


def in_seven_bits(octets: Octets) -> Iterator[bytes]:
    """Yield the message in ``octets``, without 8-bit parts, in portions of bounded size.

    Raises:
        Unconvertible: It has one that must not be changed, or cannot be; before the first portion.
    """
    return _changed(octets, list(_without_eight_bit(octets)))


def _changed(octets: Octets, changes: Iterable[_Change]) -> Iterator[bytes]:
    """Yield ``octets`` with ``changes``, which come in their order."""
    at = 0
    for change in changes:
        entity = change.entity
        yield from copied(octets, at, entity.start)
        yield _called(octets[entity.start : entity.body], change)
        at = entity.body
        if encoder := _ENCODERS.get(change.encoding):
            yield from encoder(octets, entity.body, entity.end)
            at = entity.end
    yield from copied(octets, at, len(octets))


def _without_binary(root: Entity) -> Iterator[_Change]:
    todo = [root]
    while todo:
        entity = todo.pop()
        if _encoding(entity) == _BINARY:
            yield _Change(entity, b"base64" if entity.kind in {LEAF, TEXT} else _EIGHT_BIT)
        todo.extend(reversed(entity.children))


def _without_eight_bit(octets: Octets) -> Iterator[_Change]:
    todo = [(read_tree(octets), True)]
    while todo:
        entity, is_message = todo.pop()
        encoding = _encoding(entity)
        is_untouched = entity.type.value == b"multipart/signed"  # RFC 1847 §2.1
        is_whole = is_untouched or not entity.children
        if is_whole and not _is_ascii(octets, entity):
            yield _Change(entity, _fitting(octets, entity, encoding), is_message)
        elif encoding in {_EIGHT_BIT, _BINARY}:
            yield _Change(entity, _SEVEN_BIT)
        if not is_untouched:
            within = entity.kind == MESSAGE
            todo.extend((child, within) for child in reversed(entity.children))


def _fitting(octets: Octets, entity: Entity, encoding: bytes) -> bytes:
    """Return how the 8-bit octets of ``entity`` are encoded; `Unconvertible` if they cannot be."""
    kind = entity.type.value.decode("ascii", "replace")
    if entity.kind == MULTIPART:
        raise Unconvertible(f"{kind} with 8-bit content, which must not be changed")
    if entity.kind == OPAQUE or entity.start == entity.body:
        raise Unconvertible("its parts cannot be told apart")
    if encoding in _ENCODED:
        raise Unconvertible(f"8-bit octets in what is called {encoding.decode()}")
    if entity.type.value in _SEVEN_BIT_ONLY:
        raise Unconvertible(f"{kind} with 8-bit content, which must not be encoded")
    return shorter_encoding(octets, entity.body, entity.end)


def _encoding(entity: Entity) -> bytes:
    """Return the Content-Transfer-Encoding that ``entity`` says it has, empty if it says none."""
    fields = entity.fields.get(b"content-transfer-encoding")
    return parse_token(fields[0]).lower() if fields else b""


def _is_ascii(octets: Octets, entity: Entity) -> bool:
    return all(portion.isascii() for portion in copied(octets, entity.body, entity.end))


def _called(header: bytes, change: _Change) -> bytes:
    """Return ``header`` with another Content-Transfer-Encoding; its fields of that name are one.

    A message that has none says now that it has MIME at all (RFC 2045 §4).
    """
    field = b"Content-Transfer-Encoding: %s\r\n" % change.encoding
    fields = iter([field])
    called, known = _FIELD.subn(lambda _: next(fields, b""), header)
    if known:
        return called
    if change.is_message and not _MIME_VERSION.search(header):
        field = b"MIME-Version: 1.0\r\n" + field
    end = len(header) - (
        2 if header.endswith(b"\r\n") else 1
    )  # of the fields; an empty line follows
    return header[:end] + field + header[end:]
