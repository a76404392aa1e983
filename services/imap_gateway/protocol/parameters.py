"""Parameters and modifiers that extensions hang on commands (RFC 4466 §2.1 tagged-ext).

    select-params    = SP "(" name [SP value] *(SP name [SP value]) ")"

An extension adds one line to the table of its command: the name, and the rule that takes the value
with the space before it. A name that is in no table is refused, as one that comes twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.pages import partial_range
from imap_gateway.protocol.resync_grammar import qresync

Value: TypeAlias = Callable[[Cursor], object]
NONE: Final[Mapping[bytes, object]] = MappingProxyType({})


def bare(_cursor: Cursor) -> object:
    """The parameter has no value: it is there."""
    return True


def number64(cursor: Cursor) -> object:
    """``SP mod-sequence-valzer``."""
    cursor.space()
    return cursor.number64()


def page(cursor: Cursor) -> object:
    """``SP partial-range``."""
    cursor.space()
    return partial_range(cursor)


SELECT: Final[Mapping[bytes, Value]] = MappingProxyType(
    {
        b"CONDSTORE": bare,  # RFC 7162 §3.1.8
        b"QRESYNC": qresync,  # RFC 7162 §3.2.5
    }
)
FETCH: Final[Mapping[bytes, Value]] = MappingProxyType(
    {
        b"CHANGEDSINCE": number64,  # RFC 7162 §3.1.4.1
        b"PARTIAL": page,  # RFC 9394 §3.3
        b"VANISHED": bare,  # RFC 7162 §3.2.6
    }
)
STORE: Final[Mapping[bytes, Value]] = MappingProxyType(
    {
        b"UNCHANGEDSINCE": number64,  # RFC 7162 §3.1.3
    }
)


def trailing(cursor: Cursor, known: Mapping[bytes, Value]) -> Mapping[bytes, object]:
    """``[SP "(" ... ")"]``: what may end a command."""
    return inside(cursor, known) if cursor.skip(b" (") else NONE


def inside(cursor: Cursor, known: Mapping[bytes, Value]) -> Mapping[bytes, object]:
    """The parameters behind ``"("``, up to and with ``")"``."""
    found: dict[bytes, object] = {}
    while not found or not cursor.skip(b")"):
        if found:
            cursor.space()
        name = cursor.word()
        if name not in known:
            raise BadSyntax("unknown parameter")
        if name in found:
            raise BadSyntax("parameter given twice")
        found[name] = known[name](cursor)
    return MappingProxyType(found)
