"""Which mailboxes are meant: ``filter-mailboxes`` (RFC 5465 §6, RFC 7377 §2.2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.words import mailbox

MAX_SOURCES = 1000  # and mailboxes named


class Kind(Enum):
    """How mailboxes are named; the value is the word."""

    SELECTED = b"SELECTED"
    INBOXES = b"INBOXES"
    PERSONAL = b"PERSONAL"
    SUBSCRIBED = b"SUBSCRIBED"
    SUBTREE = b"SUBTREE"
    SUBTREE_ONE = b"SUBTREE-ONE"
    MAILBOXES = b"MAILBOXES"


_NAMED: Final = frozenset({Kind.SUBTREE, Kind.SUBTREE_ONE, Kind.MAILBOXES})


@dataclass(frozen=True, slots=True)
class Source:
    """One filter; ``names`` are those behind SUBTREE, SUBTREE-ONE and MAILBOXES."""

    kind: Kind
    names: tuple[str, ...] = ()

    def below(self, known: Iterable[str]) -> set[str]:
        """Return those of ``known`` names that a source with names means."""
        if self.kind is Kind.MAILBOXES:
            return set(self.names).intersection(known)
        is_deep = self.kind is Kind.SUBTREE
        return {name for name in known if _is_in(name, self.names, is_deep=is_deep)}


def _is_in(name: str, tops: Collection[str], *, is_deep: bool) -> bool:
    if name in tops:
        return True
    parent, slash, _ = name.rpartition("/")
    if not is_deep:
        return bool(slash) and parent in tops
    while slash:
        if parent in tops:
            return True
        parent, slash, _ = parent.rpartition("/")
    return False


def sources(cursor: Cursor) -> tuple[Source, ...]:
    """``filter-mailboxes *(SP filter-mailboxes)``, up to what cannot begin another."""
    found: list[Source] = []
    while not found or cursor.skip(b" "):
        try:
            kind = Kind(cursor.word())
        except ValueError as error:
            raise BadSyntax("no such mailboxes") from error
        found.append(Source(kind, _names(cursor) if kind in _NAMED else ()))
    if sum(len(source.names) + 1 for source in found) > MAX_SOURCES:
        raise BadSyntax("too many mailboxes")
    return tuple(found)


def _names(cursor: Cursor) -> tuple[str, ...]:
    """``SP one-or-more-mailbox``."""
    cursor.space()
    if not cursor.skip(b"("):
        return (mailbox(cursor),)
    names = [mailbox(cursor)]
    while cursor.skip(b" "):
        names.append(mailbox(cursor))
    cursor.expect(b")")
    return tuple(names)
