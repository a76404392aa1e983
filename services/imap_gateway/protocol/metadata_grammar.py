"""GETMETADATA and SETMETADATA (RFC 5464 §5)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from imap_gateway.protocol import metadata as m
from imap_gateway.protocol.commands import Command
from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.octets import Aside
from imap_gateway.protocol.rules import Rule
from imap_gateway.protocol.words import mailbox, text

MAX_ENTRIES = 100  # of one command
_DEPTHS: Final = MappingProxyType({b"0": 0, b"1": 1, b"INFINITY": m.INFINITE})


def entry(cursor: Cursor) -> str:
    """``entry = astring``; ``/private`` or ``/shared`` or a path below."""
    name = text(cursor.astring())
    if not m.is_path(name):
        raise BadSyntax("not the name of an entry")
    return name


def entries(cursor: Cursor) -> tuple[str, ...]:
    """``entries = entry / "(" entry *(SP entry) ")"``."""
    if not cursor.skip(b"("):
        return (entry(cursor),)
    found = [entry(cursor)]
    while cursor.skip(b" "):
        found.append(entry(cursor))
        if len(found) > MAX_ENTRIES:
            raise BadSyntax("too many entries")
    cursor.expect(b")")
    return tuple(found)


def options(cursor: Cursor) -> tuple[int, int | None]:
    """``getmetadata-options`` behind ``"("``: how deep, and up to which size."""
    depth, size = 0, None
    while True:
        name = cursor.word()
        cursor.space()
        if name == b"MAXSIZE":
            size = cursor.number()
        elif name == b"DEPTH":
            found = _DEPTHS.get(cursor.atom().upper())
            if found is None:
                raise BadSyntax("no such depth")
            depth = found
        else:
            raise BadSyntax("unknown option")
        if cursor.skip(b")"):
            return depth, size
        cursor.space()


def _get(cursor: Cursor) -> Command:
    """The options stand before the mailbox in the grammar, behind it in the RFC's examples."""
    cursor.space()
    depth, size, has_options = 0, None, cursor.skip(b"(")
    if has_options:
        depth, size = options(cursor)
        cursor.space()
    name = mailbox(cursor)
    cursor.space()
    if not has_options and _begins_options(cursor):
        cursor.expect(b"(")
        depth, size = options(cursor)
        cursor.space()
    found = entries(cursor)
    while cursor.skip(b" "):  # as in the examples of §4.4.1
        found += entries(cursor)
    return m.GetMetadata(name, m.Wish(entries=found[:MAX_ENTRIES], depth=depth, max_size=size))


def _begins_options(cursor: Cursor) -> bool:
    ahead = cursor.data[cursor.at : cursor.at + 9].upper()
    return ahead.startswith((b"(MAXSIZE ", b"(DEPTH "))


def _set(cursor: Cursor) -> Command:
    cursor.space()
    name = mailbox(cursor)
    cursor.expect(b" (")
    values: dict[str, bytes | None] = {}
    named: dict[str, str] = {}  # by lower case: the last of several counts
    while not values or cursor.skip(b" "):
        key = entry(cursor)
        if not m.is_entry(key):
            raise BadSyntax("not the name of an entry")
        key = named.setdefault(key.lower(), key)
        cursor.space()
        values[key] = _value(cursor)
        if len(values) > MAX_ENTRIES:
            raise BadSyntax("too many entries")
    cursor.expect(b")")
    return m.SetMetadata(name, MappingProxyType(values))


def _value(cursor: Cursor) -> bytes | None:
    """``value = nstring / literal8``: that may hold NUL (RFC 5464 §3)."""
    if not cursor.skip(b"~"):
        return cursor.nstring()
    octets = cursor.large_literal()
    if isinstance(octets, Aside):
        raise BadSyntax("literal too large here")
    return octets


RULES: Final[Mapping[str, Rule]] = MappingProxyType({
    "GETMETADATA": _get,
    "SETMETADATA": _set,
})  # fmt: skip
