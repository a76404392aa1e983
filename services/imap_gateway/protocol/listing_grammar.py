"""CREATE, LIST, LSUB and STATUS with their extensions (RFC 3501 §6.3, RFC 5258 §6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from imap_gateway.protocol import listing as v
from imap_gateway.protocol.commands import Command
from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.listing import Selecting, StatusItem
from imap_gateway.protocol.metadata import Wish
from imap_gateway.protocol.metadata_grammar import entries, options
from imap_gateway.protocol.rules import Rule
from imap_gateway.protocol.words import mailbox, name_in, new_mailbox

MAX_PATTERNS = 100
MAX_PATTERN = 1024  # characters, with the reference; no name is longer
MAX_USES = 10

_USE = re.compile(rb"\\[A-Za-z0-9]{1,40}")
_FLAGS = frozenset({b"SUBSCRIBED", b"CHILDREN", b"SPECIAL-USE", b"MYRIGHTS"})


def _create(cursor: Cursor) -> Command:
    """``create SP mailbox [SP "(" "USE" SP "(" [use-attr *(SP use-attr)] ")" ")"]``."""
    cursor.space()
    name = new_mailbox(cursor)
    if not cursor.skip(b" ("):
        return v.Create(name)
    if cursor.word() != b"USE":
        raise BadSyntax("unknown parameter")
    cursor.expect(b" (")
    uses: list[str] = []
    while not cursor.skip(b")"):
        if uses:
            cursor.space()
        uses.append(cursor.take(_USE, "a special use")[0].decode())
        if len(uses) > MAX_USES:
            raise BadSyntax("too many special uses")
    cursor.expect(b")")
    return v.Create(name, tuple(uses))


def _lsub(cursor: Cursor) -> Command:
    cursor.space()
    reference = _known(cursor, cursor.astring())
    cursor.space()
    pattern = _known(cursor, cursor.list_mailbox())
    return v.List(reference=reference or "", patterns=_accepted(reference, pattern), is_lsub=True)


def _list(cursor: Cursor) -> Command:
    """``list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]``."""
    cursor.space()
    is_extended = cursor.skip(b"(")
    selecting = _selecting(cursor) if is_extended else frozenset[Selecting]()
    reference = _known(cursor, cursor.astring())
    cursor.space()
    is_many = cursor.skip(b"(")
    patterns = _patterns(cursor) if is_many else (_known(cursor, cursor.list_mailbox()),)
    has_returning = cursor.skip(b" ")
    returning = _returning(cursor) if has_returning else v.Returning()
    return v.List(
        reference=reference or "",
        patterns=_accepted(reference, *patterns),
        is_extended=is_extended or is_many or has_returning,
        selecting=selecting,
        returning=returning,
    )


def _known(cursor: Cursor, wire: bytes) -> str | None:
    """Return what ``wire`` stands for, None if no name can be meant."""
    try:
        return name_in(cursor, wire)
    except BadSyntax:
        return None


def _accepted(reference: str | None, *patterns: str | None) -> tuple[str, ...]:
    """Return the patterns that can match: others are silently ignored (RFC 9051 §6.3.9)."""
    if reference is None:
        return ()
    return tuple(one for one in patterns if one is not None and len(reference + one) <= MAX_PATTERN)


def _patterns(cursor: Cursor) -> tuple[str | None, ...]:
    """``patterns`` behind ``"("``."""
    found = [_known(cursor, cursor.list_mailbox())]
    while cursor.skip(b" "):
        found.append(_known(cursor, cursor.list_mailbox()))
        if len(found) > MAX_PATTERNS:
            raise BadSyntax("too many patterns")
    cursor.expect(b")")
    return tuple(found)


def _selecting(cursor: Cursor) -> frozenset[Selecting]:
    """``list-select-opts`` behind ``"("``, with the space behind them."""
    found: set[Selecting] = set()
    if not cursor.skip(b") "):
        found.add(_option(cursor))
        while cursor.skip(b" "):
            found.add(_option(cursor))
        cursor.expect(b") ")
    if Selecting.RECURSIVEMATCH in found and found <= {Selecting.RECURSIVEMATCH, Selecting.REMOTE}:
        raise BadSyntax("RECURSIVEMATCH needs another option")  # RFC 5258 §3.1
    return frozenset(found)


def _option(cursor: Cursor) -> Selecting:
    try:
        return Selecting(cursor.word())
    except ValueError as error:
        raise BadSyntax("unknown selection option") from error


def _returning(cursor: Cursor) -> v.Returning:
    """``list-return-opts``."""
    if cursor.word() != b"RETURN":
        raise BadSyntax("expected RETURN")
    cursor.expect(b" (")
    flags: set[bytes] = set()
    items: tuple[StatusItem, ...] = ()
    metadata: Wish | None = None
    is_first = True
    while not cursor.skip(b")"):
        if not is_first:
            cursor.space()
        is_first, name = False, cursor.word()
        if name == b"STATUS":
            items = _status_items(cursor)
        elif name == b"METADATA":
            metadata = _metadata(cursor)
        elif name in _FLAGS:
            flags.add(name)
        else:
            raise BadSyntax("unknown return option")
    return v.Returning(
        subscribed=b"SUBSCRIBED" in flags, children=b"CHILDREN" in flags,
        myrights=b"MYRIGHTS" in flags, status=items, metadata=metadata,
    )  # fmt: skip


def _metadata(cursor: Cursor) -> Wish:
    """``SP [getmetadata-options SP] entries`` (RFC 9590 §4)."""
    cursor.space()
    depth, size = 0, None
    if cursor.data[cursor.at : cursor.at + 9].upper().startswith((b"(MAXSIZE ", b"(DEPTH ")):
        cursor.expect(b"(")
        depth, size = options(cursor)
        cursor.space()
    return Wish(entries=entries(cursor), depth=depth, max_size=size)


def _status(cursor: Cursor) -> Command:
    cursor.space()
    return v.Status(mailbox(cursor), _status_items(cursor))


def _status_items(cursor: Cursor) -> tuple[StatusItem, ...]:
    """``SP "(" status-att *(SP status-att) ")"``."""
    items: list[StatusItem] = []
    cursor.expect(b" (")
    while not items or cursor.skip(b" "):
        try:
            items.append(StatusItem(cursor.word()))
        except ValueError as error:
            raise BadSyntax("unknown status item") from error
    cursor.expect(b")")
    return tuple(dict.fromkeys(items))


RULES: Final[Mapping[str, Rule]] = MappingProxyType({
    "CREATE": _create,
    "LIST": _list,
    "LSUB": _lsub,
    "STATUS": _status,
})  # fmt: skip
