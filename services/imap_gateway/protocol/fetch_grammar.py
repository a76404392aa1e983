"""The items of FETCH (RFC 3501 §9 fetch-att)."""

from __future__ import annotations

import re
from functools import lru_cache

from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.items import ALL, FAST, FULL, Binary, FetchItem, Item, Section, Text

_LAZY = re.compile(rb" \(LAZY\)", re.IGNORECASE)  # RFC 8970 §6 preview-mod

MAX_ITEMS = 1000
MAX_PATH_PARTS = 100  # deeper than any structure that is kept
MAX_KNOWN_OCTETS = 1024  # of items that are remembered

_MACROS = {b"ALL": ALL, b"FAST": FAST, b"FULL": FULL}
_OLD_FORMS = {
    b"RFC822": Section(label=b"RFC822"),
    b"RFC822.HEADER": Section(text=Text.HEADER, is_peek=True, label=b"RFC822.HEADER"),
    b"RFC822.TEXT": Section(text=Text.TEXT, label=b"RFC822.TEXT"),
}


@lru_cache(maxsize=256)
def _parsed(octets: bytes) -> tuple[FetchItem, ...] | None:
    """Return the items that ``octets`` are, whole; None if they are not."""
    cursor = Cursor(octets)
    try:
        items = fetch_items(cursor)
    except BadSyntax:
        return None
    return items if cursor.at == len(octets) else None


def known_items(cursor: Cursor) -> tuple[FetchItem, ...] | None:
    """Take the rest of the command as `fetch_items`, from memory: clients ask the same again.

    Returns None and takes nothing where it is anything else, or long.
    """
    rest = cursor.data[cursor.at :]
    items = _parsed(rest) if len(rest) <= MAX_KNOWN_OCTETS else None
    if items is not None:
        cursor.at = len(cursor.data)
    return items


def fetch_items(cursor: Cursor) -> tuple[FetchItem, ...]:
    """``("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")``."""
    if not cursor.skip(b"("):
        at, name = cursor.at, cursor.word()
        if name in _MACROS:
            return _MACROS[name]
        cursor.at = at
        return (_fetch_att(cursor),)
    items = [_fetch_att(cursor)]
    while not cursor.skip(b")"):
        cursor.space()
        items.append(_fetch_att(cursor))
        if len(items) > MAX_ITEMS:
            raise BadSyntax("too many items")
    return tuple(dict.fromkeys(items))


def _fetch_att(cursor: Cursor) -> FetchItem:
    name = cursor.word()
    if name in {b"BODY", b"BODY.PEEK"} and cursor.skip(b"["):
        return section(cursor, is_peek=name == b"BODY.PEEK")
    if name in {b"BINARY", b"BINARY.PEEK", b"BINARY.SIZE"}:
        return _binary(cursor, name)
    if name in _OLD_FORMS:
        return _OLD_FORMS[name]
    try:
        item = Item(name)
    except ValueError as error:
        raise BadSyntax("unknown item") from error
    is_lazy = item is Item.PREVIEW and _LAZY.match(cursor.data, cursor.at)
    if is_lazy:  # anything else in parentheses is of the command
        cursor.take(_LAZY, "LAZY")
        return Item.LAZY_PREVIEW
    return item


def section(cursor: Cursor, *, is_peek: bool) -> Section:
    """``section = "[" [section-spec] "]"``, then ``["<" number64 "." nz-number64 ">"]``."""
    path, text = _path(cursor), Text.ALL
    fields: tuple[bytes, ...] = ()
    if cursor.peek() != 0x5D:
        text = _text(cursor)
        if text is Text.MIME and not path:
            raise BadSyntax("MIME is of a part")
        if text in {Text.FIELDS, Text.FIELDS_NOT}:
            cursor.space()
            fields = _header_list(cursor)
    cursor.expect(b"]")
    return Section(
        path=path,
        text=text,
        fields=fields,
        partial=_partial(cursor),
        is_peek=is_peek,
        label=_label(path, text, fields),
    )


def _binary(cursor: Cursor, name: bytes) -> Binary:
    """``section-binary = "[" [section-part] "]"`` (RFC 3516 §7)."""
    cursor.expect(b"[")
    path = _path(cursor)
    cursor.expect(b"]")
    is_size = name == b"BINARY.SIZE"
    partial = None if is_size else _partial(cursor)
    return Binary(path=path, partial=partial, is_peek=name != b"BINARY", is_size=is_size)


def _path(cursor: Cursor) -> tuple[int, ...]:
    """``section-part = nz-number *("." nz-number)``, with the dot before a section-text."""
    path: list[int] = []
    while 0x30 <= cursor.peek() <= 0x39:
        path.append(cursor.nz_number())
        if len(path) > MAX_PATH_PARTS:
            raise BadSyntax("part too deep")
        if not cursor.skip(b"."):
            return tuple(path)
    if path and cursor.peek() == 0x5D:
        raise BadSyntax("expected a part after the dot")
    return tuple(path)


def _text(cursor: Cursor) -> Text:
    word = cursor.word()
    if word == b"" or word not in {text.value for text in Text}:
        raise BadSyntax("unknown section")
    return Text(word)


def _header_list(cursor: Cursor) -> tuple[bytes, ...]:
    """``header-list = "(" header-fld-name *(SP header-fld-name) ")"``."""
    cursor.expect(b"(")
    names = [cursor.astring()]
    while not cursor.skip(b")"):
        cursor.space()
        names.append(cursor.astring())
    return tuple(names)


def _partial(cursor: Cursor) -> tuple[int, int] | None:
    if not cursor.skip(b"<"):
        return None
    first = cursor.number64()
    cursor.expect(b".")
    count = cursor.number64()
    if not count:
        raise BadSyntax("expected a number from 1")
    cursor.expect(b">")
    return first, count


def _label(path: tuple[int, ...], text: Text, fields: tuple[bytes, ...]) -> bytes:
    """The section as the answer repeats it."""
    spec = b".".join([*(b"%d" % n for n in path), *([text.value] if text.value else [])])
    if fields:
        spec += b" (" + b" ".join(map(_field_name, fields)) + b")"
    return b"BODY[" + spec + b"]"


def _field_name(name: bytes) -> bytes:
    if name and all(0x21 <= octet < 0x7F and octet not in b'(){%*"\\]' for octet in name):
        return name
    if any(octet in b"\r\n" or octet > 0x7F for octet in name):
        return b"{%d}\r\n%b" % (len(name), name)
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
