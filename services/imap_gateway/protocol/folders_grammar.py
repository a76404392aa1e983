"""Commands about mailboxes (RFC 3501 §6.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from imap_gateway.protocol import commands as c
from imap_gateway.protocol import mutf7, parameters
from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.rules import Rule, bare
from imap_gateway.protocol.words import mailbox


def _select(cursor: Cursor, *, is_examine: bool) -> c.Command:
    cursor.space()
    name = mailbox(cursor)
    found = parameters.trailing(cursor, parameters.SELECT)
    return c.Select(mailbox=name, is_examine=is_examine, parameters=found)


def _named(make: Callable[[str], c.Command]) -> Callable[[Cursor], c.Command]:
    def rule(cursor: Cursor) -> c.Command:
        cursor.space()
        return make(mailbox(cursor))

    return rule


def _rename(cursor: Cursor) -> c.Command:
    cursor.space()
    old = mailbox(cursor)
    cursor.space()
    return c.Rename(old, mailbox(cursor))


def _list(cursor: Cursor, *, is_subscribed: bool) -> c.Command:
    cursor.space()
    reference = mutf7.decode(cursor.astring())
    cursor.space()
    pattern = mutf7.decode(cursor.list_mailbox())
    return c.List(reference=reference, pattern=pattern, is_subscribed=is_subscribed)


def _status(cursor: Cursor) -> c.Command:
    cursor.space()
    name = mailbox(cursor)
    items: list[c.StatusItem] = []
    cursor.expect(b" (")
    while not items or cursor.skip(b" "):
        try:
            items.append(c.StatusItem(cursor.word()))
        except ValueError as error:
            raise BadSyntax("unknown status item") from error
    cursor.expect(b")")
    return c.Status(name, tuple(items))


RULES: Final[Mapping[str, Rule]] = MappingProxyType({
    "SELECT": lambda cursor: _select(cursor, is_examine=False),
    "EXAMINE": lambda cursor: _select(cursor, is_examine=True),
    "CREATE": _named(c.Create),
    "DELETE": _named(c.Delete),
    "RENAME": _rename,
    "SUBSCRIBE": _named(lambda name: c.Subscribe(name, on=True)),
    "UNSUBSCRIBE": _named(lambda name: c.Subscribe(name, on=False)),
    "LIST": lambda cursor: _list(cursor, is_subscribed=False),
    "LSUB": lambda cursor: _list(cursor, is_subscribed=True),
    "STATUS": _status,
    "CLOSE": bare(c.Close(is_unselect=False)),
    "UNSELECT": bare(c.Close(is_unselect=True)),
})  # fmt: skip
