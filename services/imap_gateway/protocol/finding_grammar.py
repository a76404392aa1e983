"""SEARCH, SORT, THREAD and their result options (RFC 3501 §9, 4466 §2.6.2, 5256 §5, 5267 §5, 9394)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from imap_gateway.protocol import finding as f
from imap_gateway.protocol.commands import Command
from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.fetch_grammar import fetch_items
from imap_gateway.protocol.pages import Partial, partial_range
from imap_gateway.protocol.rules import Rule
from imap_gateway.protocol.search_grammar import search_keys
from imap_gateway.protocol.sources import Source, sources

MAX_CRITERIA = 20
MAX_TAGS = 100

_CHARSET = b"CHARSET "
_RETURN = b" RETURN ("
_IN = b" IN ("
_OPTIONS: Final = MappingProxyType({
    b"MIN": "has_min",
    b"MAX": "has_max",
    b"ALL": "has_all",
    b"COUNT": "has_count",
    b"SAVE": "saves",
    b"UPDATE": "updates",
    b"CONTEXT": "is_context",
    b"PARTIAL": "partial",
})  # fmt: skip


def search_program(cursor: Cursor, returns: f.Returns | None, *, is_uid: bool) -> f.Program:
    """``SP search-program``: ``["CHARSET" SP charset SP] search-key *(SP search-key)``."""
    cursor.space()
    charset = None
    if cursor.data[cursor.at : cursor.at + len(_CHARSET)].upper() == _CHARSET:
        cursor.at += len(_CHARSET)
        charset = _charset(cursor)
        cursor.space()
    key = search_keys(cursor, charset or "UTF-8")
    return f.Program(key=key, charset=charset, is_uid=is_uid, returns=returns)


def search_return_options(cursor: Cursor) -> f.Returns | None:
    """``[SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"]``."""
    if cursor.data[cursor.at : cursor.at + len(_RETURN)].upper() != _RETURN:
        return None
    cursor.at += len(_RETURN)
    found: dict[str, Any] = {}
    while not cursor.skip(b")"):
        if found:
            cursor.space()
        name = cursor.word()
        option = _OPTIONS.get(name)
        if option is None or option in found:
            raise BadSyntax("unknown result option, or given twice")
        found[option] = True if name != b"PARTIAL" else _partial(cursor)
        if name == b"UPDATE" and cursor.data[cursor.at : cursor.at + 2] == b" (":
            cursor.space()
            found["items"] = fetch_items(cursor)
    if {"has_all", "partial"} <= found.keys():
        raise BadSyntax("ALL and PARTIAL together")  # RFC 5267 §4.4
    return f.Returns(**found) if found else f.Returns(has_all=True)  # RFC 4731 §3.1


def _partial(cursor: Cursor) -> Partial:
    cursor.space()
    return partial_range(cursor)


def _search(cursor: Cursor, *, is_uid: bool) -> Command:
    return f.Search(search_program(cursor, search_return_options(cursor), is_uid=is_uid))


def _multi_search(cursor: Cursor) -> Command:
    """``"ESEARCH" [SP esearch-source-opts] [SP search-return-opts] SP search-program`` (RFC 7377 §4)."""
    found: tuple[Source, ...] = ()
    if cursor.data[cursor.at : cursor.at + len(_IN)].upper() == _IN:
        cursor.at += len(_IN)
        found = sources(cursor)
        cursor.expect(b")")
    returns = search_return_options(cursor)
    return f.MultiSearch(found, search_program(cursor, returns, is_uid=True))


def _sort(cursor: Cursor, *, is_uid: bool) -> Command:
    returns = search_return_options(cursor)
    cursor.expect(b" (")
    order: list[f.Criterion] = []
    while not order or cursor.skip(b" "):
        order.append(_criterion(cursor))
    cursor.expect(b")")
    if len(order) > MAX_CRITERIA:
        raise BadSyntax("too many sort criteria")
    return f.Sort(tuple(order), _criteria(cursor, returns, is_uid=is_uid))


def _criterion(cursor: Cursor) -> f.Criterion:
    name = cursor.word()
    is_reverse = name == b"REVERSE"
    if is_reverse:
        cursor.space()
        name = cursor.word()
    try:
        return f.Criterion(f.SortKey(name), is_reverse)
    except ValueError as error:
        raise BadSyntax("unknown sort key") from error


def _thread(cursor: Cursor, *, is_uid: bool) -> Command:
    cursor.space()
    try:
        algorithm = f.Algorithm(cursor.word())
    except ValueError as error:
        raise BadSyntax("unknown threading algorithm") from error
    return f.Thread(algorithm, _criteria(cursor, None, is_uid=is_uid))


def _criteria(cursor: Cursor, returns: f.Returns | None, *, is_uid: bool) -> f.Program:
    """``SP search-criteria = charset 1*(SP search-key)`` (RFC 5256 §5)."""
    cursor.space()
    charset = _charset(cursor)
    cursor.space()
    key = search_keys(cursor, charset)
    return f.Program(key=key, charset=charset, is_uid=is_uid, returns=returns)


def _charset(cursor: Cursor) -> str:
    return cursor.astring().decode("ascii", "replace").upper()


def _cancel(cursor: Cursor) -> Command:
    tags: list[bytes] = []
    while not tags or cursor.peek() == 0x20:
        cursor.space()
        tags.append(cursor.quoted())
    if len(tags) > MAX_TAGS:
        raise BadSyntax("too many tags")
    return f.CancelUpdate(tuple(tags))


RULES: Final[Mapping[str, Rule]] = MappingProxyType({
    "SEARCH": lambda cursor: _search(cursor, is_uid=False),
    "UID SEARCH": lambda cursor: _search(cursor, is_uid=True),
    "ESEARCH": _multi_search,
    "SORT": lambda cursor: _sort(cursor, is_uid=False),
    "UID SORT": lambda cursor: _sort(cursor, is_uid=True),
    "THREAD": lambda cursor: _thread(cursor, is_uid=False),
    "CANCELUPDATE": _cancel,
    "UID THREAD": lambda cursor: _thread(cursor, is_uid=True),
})  # fmt: skip
