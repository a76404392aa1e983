"""Commands about mailboxes (RFC 3501 §6.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from imap_gateway.protocol import commands as c
from imap_gateway.protocol import parameters
from imap_gateway.protocol.cursor import Cursor
from imap_gateway.protocol.rules import Rule, bare
from imap_gateway.protocol.words import mailbox, name_in, new_mailbox, with_inbox


def _select(cursor: Cursor, *, is_examine: bool) -> c.Command:
    cursor.space()
    given = name_in(cursor, cursor.astring())
    found = parameters.trailing(cursor, parameters.SELECT)
    return c.Select(mailbox=with_inbox(given), is_examine=is_examine, parameters=found, given=given)


def _named(make: Callable[[str], c.Command]) -> Callable[[Cursor], c.Command]:
    def rule(cursor: Cursor) -> c.Command:
        cursor.space()
        return make(mailbox(cursor))

    return rule


def _rename(cursor: Cursor) -> c.Command:
    cursor.space()
    old = mailbox(cursor)
    cursor.space()
    return c.Rename(old, new_mailbox(cursor))


RULES: Final[Mapping[str, Rule]] = MappingProxyType({
    "SELECT": lambda cursor: _select(cursor, is_examine=False),
    "EXAMINE": lambda cursor: _select(cursor, is_examine=True),
    "DELETE": _named(c.Delete),
    "RENAME": _rename,
    "SUBSCRIBE": _named(lambda name: c.Subscribe(name, on=True)),
    "UNSUBSCRIBE": _named(lambda name: c.Subscribe(name, on=False)),
    "CLOSE": bare(c.Close(is_unselect=False)),
    "UNSELECT": bare(c.Close(is_unselect=True)),
})  # fmt: skip
