"""BODYSTRUCTURE as IMAP4rev2 tells it: parameters of RFC 2231 are decoded (RFC 9051 §7.5.2).

What is stored tells their values joined and encoded (RFC 2231 §6), as IMAP4rev1 does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import chain

from imap_gateway.view.sections import Tree, plain, read_tree
from posthouse.mime.continuations import join_continuations
from posthouse.mime.wire import MAX_QUOTED_OCTETS

_MAYBE = re.compile(rb'\*(?:[0-9]+\*?)?"')
_LITERAL = re.compile(rb"\{[0-9]+\}\r\n")
_ESCAPED = re.compile(rb'\\(["\\])')
_SPECIAL = re.compile(rb'["\\]')
_UNQUOTABLE = re.compile(rb"[\r\n]")
_PARAMETERS, _NESTED, _DISPOSITION = 2, 8, -3  # places; the last counted from the end


def with_joined_parameters(bodystructure: bytes) -> bytes:
    """Return a BODYSTRUCTURE whose parameters have one value each, in UTF-8."""
    if _MAYBE.search(bodystructure) is None:
        return bodystructure
    return _body(read_tree(bodystructure))


def _body(tree: Tree) -> bytes:
    if isinstance(tree, bytes):
        return tree
    count = next(number for number, one in enumerate(tree) if isinstance(one, bytes))
    if count:  # multipart: its parts, the subtype, the parameters
        rest = _with(tree[count:], {1: _parameters, _DISPOSITION: _disposition})
        return b"(%b %b)" % (b"".join(map(_body, tree[:count])), rest)
    is_message = all(isinstance(one, list) for one in tree[_NESTED - 1 : _NESTED + 1])
    nested = {_NESTED: _body} if is_message else {}
    own = {_PARAMETERS: _parameters, _DISPOSITION: _disposition}
    return b"(%b)" % _with(tree, own | nested)


def _with(fields: list[Tree], writers: Mapping[int, Callable[[Tree], bytes]]) -> bytes:
    """Write ``fields``, those at the places of ``writers`` by these."""
    named = {place % len(fields): write for place, write in writers.items()}
    return b" ".join(named.get(place, plain)(one) for place, one in enumerate(fields))


def _disposition(tree: Tree) -> bytes:
    if isinstance(tree, bytes):
        return tree
    return b"(%b %b)" % (plain(tree[0]), _parameters(tree[1]))


def _parameters(tree: Tree) -> bytes:
    if isinstance(tree, bytes):
        return tree
    values = [_octets(token) for token in tree if isinstance(token, bytes)]
    pairs = tuple(zip(values[::2], values[1::2], strict=True))
    return b"(%b)" % b" ".join(map(_string, chain.from_iterable(join_continuations(pairs))))


def _octets(token: bytes) -> bytes:
    """Return what a quoted string or a literal means."""
    if literal := _LITERAL.match(token):
        return token[literal.end() :]
    return _ESCAPED.sub(rb"\1", token[1:-1])


def _string(value: bytes) -> bytes:
    """Write a quoted string, which may hold UTF-8 (RFC 9051 §9), or a literal where none can be."""
    value = value.replace(b"\0", "\ufffd".encode())
    if len(value) > MAX_QUOTED_OCTETS or _UNQUOTABLE.search(value) or not _is_utf8(value):
        return b"{%d}\r\n%b" % (len(value), value)
    return b'"%b"' % _SPECIAL.sub(rb"\\\g<0>", value)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
