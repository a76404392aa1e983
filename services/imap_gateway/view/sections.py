"""Pieces of header and structure that FETCH asks for (RFC 3501 §6.4.5, §7.4.2)."""

from __future__ import annotations

import re
from collections.abc import Collection

# A field begins a line, so that a line is looked at once, however long it is.
_FIELD = re.compile(rb"^([!-9;-~]++)[ \t]*+:[^\n]*\n?(?:[ \t][^\n]*\n?)*", re.MULTILINE)
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|\{(\d+)\}\r\n|[^()\s"]+|[() ]', re.DOTALL)

_MULTIPART_FIELDS = 1  # subtype; what follows are extensions
_TEXT_FIELDS, _MESSAGE_FIELDS, _OTHER_FIELDS = 8, 10, 7


def pick_fields(header: bytes, names: Collection[bytes], *, is_not: bool) -> bytes:
    """Return the named (or all other) fields of ``header``, and an empty line."""
    wanted = {name.lower() for name in names}
    kept = [
        field[0] for field in _FIELD.finditer(header) if (field[1].lower() in wanted) is not is_not
    ]
    return b"".join(kept) + b"\r\n"


def without_extensions(bodystructure: bytes) -> bytes:
    """Return the BODY of a BODYSTRUCTURE: the same without extension data (RFC 3501 §7.4.2)."""
    return _body(read_tree(bodystructure))


def read_tree(octets: bytes) -> Tree:
    """Read a parenthesized list: strings and atoms as they stand, lists as lists."""
    return _read(_tokens(octets))


def _tokens(octets: bytes) -> list[bytes]:
    """Split into parentheses, strings and atoms; literals keep their octets."""
    found, at = [], 0
    while at < len(octets):
        match = _TOKEN.match(octets, at)
        if match is None:
            raise ValueError("not a structure")
        at = match.end()
        if match[1]:
            at += int(match[1])
        token = octets[match.start() : at]
        if token != b" ":
            found.append(token)
    found.reverse()
    return found


def _read(tokens: list[bytes]) -> Tree:
    """Read one value off the end of ``tokens``; a list that is open waits on a stack of its own."""
    open_lists: list[list[Tree]] = []
    while True:
        token = tokens.pop()
        if token == b"(":
            open_lists.append([])
            continue
        value: Tree = open_lists.pop() if token == b")" else token
        if not open_lists:
            return value
        open_lists[-1].append(value)


Tree = bytes | list["Tree"]


def _body(tree: Tree) -> bytes:
    if isinstance(tree, bytes):
        return tree
    if tree and isinstance(tree[0], list):  # multipart: parts, subtype, extensions
        parts = [one for one in tree if isinstance(one, list)]
        count = next((n for n, one in enumerate(tree) if isinstance(one, bytes)), len(tree))
        subtype = tree[count : count + _MULTIPART_FIELDS]
        return b"(%b %b)" % (b"".join(map(_body, parts[:count])), b"".join(map(plain, subtype)))
    if len(tree) >= _MESSAGE_FIELDS and isinstance(tree[7], list):  # message/rfc822: its ENVELOPE
        fields = [*map(plain, tree[:8]), _body(tree[8]), plain(tree[9])]
        return b"(%b)" % b" ".join(fields)
    is_text = isinstance(tree[0], bytes) and tree[0].lower() == b'"text"'
    count = _TEXT_FIELDS if is_text else _OTHER_FIELDS
    return b"(%b)" % b" ".join(map(plain, tree[:count]))


def plain(tree: Tree) -> bytes:
    """Write a value of `read_tree` as it was; addresses stand side by side (RFC 3501 §9 env-from)."""
    if isinstance(tree, bytes):
        return tree
    between = b"" if all(isinstance(one, list) for one in tree) else b" "
    return b"(%b)" % between.join(map(plain, tree))
