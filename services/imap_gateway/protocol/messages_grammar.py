"""Commands about messages (RFC 3501 §6.4; RFC 4315, 6851, 7162)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from imap_gateway.protocol import commands as c
from imap_gateway.protocol import parameters
from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.fetch_grammar import fetch_items, known_items
from imap_gateway.protocol.rules import Rule, bare
from imap_gateway.protocol.sequences import sequence_set
from imap_gateway.protocol.words import flag, flag_list, mailbox


def _uid_expunge(cursor: Cursor) -> c.Command:
    cursor.space()
    return c.Expunge(sequence_set(cursor))


def _fetch(cursor: Cursor, *, is_uid: bool) -> c.Command:
    cursor.space()
    numbers = sequence_set(cursor)
    cursor.space()
    items = known_items(cursor) or fetch_items(cursor)
    modifiers = parameters.trailing(cursor, parameters.FETCH)
    return c.Fetch(numbers=numbers, items=items, is_uid=is_uid, modifiers=modifiers)


def _store(cursor: Cursor, *, is_uid: bool) -> c.Command:
    cursor.space()
    numbers, modifiers = sequence_set(cursor), parameters.NONE
    cursor.space()
    if cursor.skip(b"("):
        modifiers = parameters.inside(cursor, parameters.STORE)
        cursor.space()
    change = c.Change.ADD if cursor.skip(b"+") else None
    change = change or (c.Change.REMOVE if cursor.skip(b"-") else c.Change.REPLACE)
    item = cursor.word()
    if item not in {b"FLAGS", b"FLAGS.SILENT"}:
        raise BadSyntax("expected FLAGS")
    cursor.space()
    flags = flag_list(cursor) if cursor.peek() == 0x28 else _flags(cursor)
    is_silent = item == b"FLAGS.SILENT"
    return c.Store(numbers=numbers, change=change, flags=flags, is_silent=is_silent, is_uid=is_uid,
                   modifiers=modifiers)  # fmt: skip


def _flags(cursor: Cursor) -> tuple[str, ...]:
    flags = [flag(cursor)]
    while cursor.skip(b" "):
        flags.append(flag(cursor))
    return tuple(flags)


def _copy(cursor: Cursor, *, is_uid: bool, is_move: bool) -> c.Command:
    cursor.space()
    numbers = sequence_set(cursor)
    cursor.space()
    return c.Copy(numbers=numbers, mailbox=mailbox(cursor), is_uid=is_uid, is_move=is_move)


RULES: Final[Mapping[str, Rule]] = MappingProxyType({
    "CHECK": bare(c.Check()),
    "EXPUNGE": bare(c.Expunge(None)),
    "UID EXPUNGE": _uid_expunge,
    "FETCH": lambda cursor: _fetch(cursor, is_uid=False),
    "UID FETCH": lambda cursor: _fetch(cursor, is_uid=True),
    "STORE": lambda cursor: _store(cursor, is_uid=False),
    "UID STORE": lambda cursor: _store(cursor, is_uid=True),
    "COPY": lambda cursor: _copy(cursor, is_uid=False, is_move=False),
    "UID COPY": lambda cursor: _copy(cursor, is_uid=True, is_move=False),
    "MOVE": lambda cursor: _copy(cursor, is_uid=False, is_move=True),
    "UID MOVE": lambda cursor: _copy(cursor, is_uid=True, is_move=True),
})  # fmt: skip
