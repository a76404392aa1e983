"""The keys of SEARCH (RFC 3501 §9 search-key, RFC 5032 §4, RFC 7162 §7, RFC 8514 §5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from imap_gateway.protocol import keys as k
from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.sequences import sequence_set
from imap_gateway.protocol.words import day, flag

MAX_DEPTH = 50  # of NOT, OR and parentheses within each other
CHARSETS = ("US-ASCII", "UTF-8")

SEEN, ANSWERED, FLAGGED, DELETED, DRAFT = 1, 2, 4, 8, 16


_OBJECT_ID = re.compile(rb"[A-Za-z0-9_-]{1,255}")
_SEQUENCE = frozenset(b"*0123456789$")


def search_keys(cursor: Cursor, charset: str) -> k.Key:
    """``search-key *(SP search-key)``; whoever carries it out refuses charsets we do not know."""
    return _Reader(cursor, charset).keys(0)


class _Reader:
    """One search program that is being read."""

    __slots__ = ("_charset", "_cursor")

    def __init__(self, cursor: Cursor, charset: str) -> None:
        self._cursor = cursor
        self._charset = charset

    def keys(self, depth: int) -> k.Key:
        """``search-key *(SP search-key)``: all must hold."""
        found = [self.key(depth)]
        while self._cursor.skip(b" "):
            found.append(self.key(depth))
        return found[0] if len(found) == 1 else k.And(tuple(found))

    def key(self, depth: int) -> k.Key:
        """``search-key``."""
        if depth > MAX_DEPTH:
            raise BadSyntax("nested too deep")
        cursor = self._cursor
        if cursor.skip(b"("):
            inner = self.keys(depth + 1)
            cursor.expect(b")")
            return inner
        if cursor.peek() in _SEQUENCE:
            return k.InSet(sequence_set(cursor), is_uid=False)
        return self._named(cursor.word().decode(), depth)

    def _named(self, name: str, depth: int) -> k.Key:
        plain = _PLAIN.get(name)
        if plain is not None:
            return plain
        if name == "NOT":
            self._cursor.space()
            return k.Not(self.key(depth + 1))
        if name == "OR":
            return self._or(depth)
        return self._with_argument(name)

    def _or(self, depth: int) -> k.Key:
        self._cursor.space()
        one = self.key(depth + 1)
        self._cursor.space()
        return k.Or(one, self.key(depth + 1))

    def _with_argument(self, name: str) -> k.Key:
        self._cursor.space()
        if name in _TEXTS:
            return k.Contains(_TEXTS[name], self._text())
        if name == "HEADER":
            header = self._text().lower()
            self._cursor.space()
            return k.Contains(k.Where.HEADER, self._text(), header)
        rule = _WITH_ARGUMENT.get(name)
        if rule is None:
            raise BadSyntax("unknown search key")
        return rule(self._cursor)

    def _text(self) -> str:
        octets = self._cursor.astring()
        if self._charset not in CHARSETS:
            return octets.decode("latin-1")
        try:
            return octets.decode("ascii" if self._charset == "US-ASCII" else "utf-8")
        except UnicodeDecodeError as error:
            raise BadSyntax("not in the charset") from error


def _modseq(cursor: Cursor) -> k.Key:
    """``search-modsequence = "MODSEQ" [search-modseq-ext] SP mod-sequence-valzer``."""
    if cursor.peek() == 0x22:  # the entry of one flag: all have the message's modseq
        cursor.quoted()
        cursor.space()
        if cursor.word() not in {b"ALL", b"SHARED", b"PRIV"}:
            raise BadSyntax("unknown entry type")
        cursor.space()
    return k.ChangedSince(cursor.number64())


def _object_id(cursor: Cursor) -> str:
    """``objectid`` (RFC 8474 §7); in quotes as well, as some write it."""
    is_quoted = cursor.skip(b'"')
    found = cursor.take(_OBJECT_ID, "an object id")[0].decode()
    if is_quoted:
        cursor.expect(b'"')
    return found


def _dated(order: k.Order, which: k.Which) -> Callable[[Cursor], k.Key]:
    return lambda cursor: k.Dated(order, day(cursor), which)


def _keyword(cursor: Cursor, *, is_set: bool) -> k.Key:
    name = flag(cursor)
    if name.startswith("\\"):
        raise BadSyntax("expected a keyword")
    return k.Keyword(name, is_set)


_PLAIN: Final[Mapping[str, k.Key]] = MappingProxyType({
    "ALL": k.Every(),
    "SAVEDATESUPPORTED": k.Every(),
    "SEEN": k.Flagged(SEEN, is_set=True),
    "UNSEEN": k.Flagged(SEEN, is_set=False),
    "ANSWERED": k.Flagged(ANSWERED, is_set=True),
    "UNANSWERED": k.Flagged(ANSWERED, is_set=False),
    "FLAGGED": k.Flagged(FLAGGED, is_set=True),
    "UNFLAGGED": k.Flagged(FLAGGED, is_set=False),
    "DELETED": k.Flagged(DELETED, is_set=True),
    "UNDELETED": k.Flagged(DELETED, is_set=False),
    "DRAFT": k.Flagged(DRAFT, is_set=True),
    "UNDRAFT": k.Flagged(DRAFT, is_set=False),
    "RECENT": k.Recent(is_set=True),
    "OLD": k.Recent(is_set=False),
    "NEW": k.And((k.Recent(is_set=True), k.Flagged(SEEN, is_set=False))),
})  # fmt: skip
_TEXTS: Final = MappingProxyType(
    {where.value: where for where in k.Where if where is not k.Where.HEADER}
)
_WITH_ARGUMENT: Final = MappingProxyType({
    "KEYWORD": lambda cursor: _keyword(cursor, is_set=True),
    "UNKEYWORD": lambda cursor: _keyword(cursor, is_set=False),
    "LARGER": lambda cursor: k.Size(cursor.number64(), is_larger=True),
    "SMALLER": lambda cursor: k.Size(cursor.number64(), is_larger=False),
    "UID": lambda cursor: k.InSet(sequence_set(cursor), is_uid=True),
    "MODSEQ": _modseq,
    "EMAILID": lambda cursor: k.HasId(_object_id(cursor), is_thread=False),
    "THREADID": lambda cursor: k.HasId(_object_id(cursor), is_thread=True),
    "OLDER": lambda cursor: k.Within(cursor.nz_number(), is_older=True),
    "YOUNGER": lambda cursor: k.Within(cursor.nz_number(), is_older=False),
    **{which.value + order.value: _dated(order, which) for which in k.Which for order in k.Order},
})  # fmt: skip
