"""The grammar of APPEND and REPLACE (RFC 4466 §2.7 append, RFC 8508 §5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from imap_gateway.protocol.appending import Append, Literal, NewMessage, Replace, Source, Url
from imap_gateway.protocol.commands import Command
from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.rules import Rule
from imap_gateway.protocol.words import date_time, flag_list, mailbox

MAX_SOURCES = 1000  # of one message

_EXTENSION = re.compile(rb"[A-Za-z]")


def _append(cursor: Cursor) -> Command:
    """``append = "APPEND" SP mailbox 1*append-message`` (RFC 3502)."""
    cursor.space()
    name = mailbox(cursor)
    messages = [_message(cursor)]
    while cursor.peek() == 0x20:
        messages.append(_message(cursor))
    return Append(mailbox=name, messages=tuple(messages))


def _replace(cursor: Cursor, *, is_uid: bool) -> Command:
    """``"REPLACE" SP seq-number SP mailbox append-message``."""
    cursor.space()
    number = 0 if cursor.skip(b"*") else cursor.nz_number()
    cursor.space()
    name = mailbox(cursor)
    return Replace(number=number, is_uid=is_uid, mailbox=name, message=_message(cursor))


def _message(cursor: Cursor) -> NewMessage:
    """``append-message = append-opts SP append-data`` (RFC 4466 §2.7).

    More blanks before it are let pass: Python's IMAPClient (4.1) puts two between two literals.
    """
    flags: tuple[str, ...] = ()
    date = None
    cursor.space()
    while cursor.skip(b" "):
        pass
    if cursor.peek() == 0x28:
        flags = flag_list(cursor)
        cursor.space()
    if cursor.peek() == 0x22:
        date = date_time(cursor)
        cursor.space()
    return NewMessage(flags=flags, date=date, sources=_data(cursor))


def _data(cursor: Cursor) -> tuple[Source, ...]:
    """``append-data = literal / literal8 / "CATENATE" ... / "UTF8" ...``."""
    if not _EXTENSION.match(cursor.data, cursor.at):
        return (_literal(cursor),)
    match cursor.word():
        case b"CATENATE":
            return _catenated(cursor)
        case b"UTF8":
            return (_utf8(cursor),)
        case _:
            raise BadSyntax("unknown data item")


def _catenated(cursor: Cursor) -> tuple[Source, ...]:
    """``"CATENATE" SP "(" cat-part *(SP cat-part) ")"`` (RFC 4469 §5)."""
    cursor.expect(b" (")
    sources = [_part(cursor)]
    while not cursor.skip(b")"):
        cursor.space()
        sources.append(_part(cursor))
        if len(sources) > MAX_SOURCES:
            raise BadSyntax("too many parts")
    return tuple(sources)


def _part(cursor: Cursor) -> Source:
    """``cat-part = "TEXT" SP literal / "URL" SP astring / utf8-literal``."""
    match cursor.word():
        case b"TEXT":
            cursor.space()
            return _literal(cursor)
        case b"URL":
            cursor.space()
            return Url(cursor.astring())
        case b"UTF8":
            return _utf8(cursor)
        case _:
            raise BadSyntax("unknown part")


def _utf8(cursor: Cursor) -> Source:
    """``utf8-literal = "UTF8" SP "(" literal8 ")"`` (RFC 6855 §4)."""
    cursor.expect(b" (")
    literal = _literal(cursor)
    cursor.expect(b")")
    return literal


def _literal(cursor: Cursor) -> Literal:
    is_binary = cursor.skip(b"~")
    octets = cursor.large_literal()
    if not is_binary and isinstance(octets, bytes) and b"\0" in octets:
        raise BadSyntax("NUL in a literal")
    return Literal(octets=octets, is_binary=is_binary)


RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "APPEND": _append,
        "REPLACE": lambda cursor: _replace(cursor, is_uid=False),
        "UID REPLACE": lambda cursor: _replace(cursor, is_uid=True),
    }
)
