"""From a complete command to its value (RFC 3501 §9 command)."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from imap_gateway.protocol import commands as c
from imap_gateway.protocol import mutf7
from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.fetch_grammar import fetch_items, known_items
from imap_gateway.protocol.search_grammar import search_key
from imap_gateway.protocol.sequences import sequence_set
from imap_gateway.protocol.words import date_time, flag, flag_list, mailbox, text

MAX_ID_FIELDS = 30  # RFC 2971 §3.3

_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}|=")


class BadCommand(BadSyntax):
    """A command that could not be read, with the tag to answer to.

    Attributes:
        tag: Its tag; ``*`` if even that was not readable.
    """

    def __init__(self, tag: bytes, reason: str) -> None:
        super().__init__(reason)
        self.tag = tag


def parse(octets: bytes) -> c.Tagged:
    """Return the command in ``octets``; raise `BadCommand` if it is none."""
    cursor, tag = Cursor(octets), b"*"
    try:
        tag = cursor.tag()
        cursor.space()
        name = cursor.word().decode()
        if name == "UID":
            cursor.space()
            name = f"UID {cursor.word().decode()}"
        rule = _COMMANDS.get(name)
        if rule is None:
            raise BadSyntax("unknown command")
        command = rule(cursor)
        cursor.end()
    except BadSyntax as error:
        raise BadCommand(tag, str(error)) from error
    return c.Tagged(tag=tag, name=name, command=command)


def _bare(value: c.Command) -> Callable[[Cursor], c.Command]:
    return lambda _cursor: value


def _authenticate(cursor: Cursor) -> c.Command:
    cursor.space()
    mechanism = cursor.atom().decode("ascii")
    initial = cursor.take(_BASE64, "base64")[0] if cursor.skip(b" ") else None
    return c.Authenticate(mechanism, initial)


def _login(cursor: Cursor) -> c.Command:
    cursor.space()
    user = text(cursor.astring())
    cursor.space()
    return c.Login(user, text(cursor.astring()))


def _select(cursor: Cursor, *, is_examine: bool) -> c.Command:
    cursor.space()
    name, is_condstore = mailbox(cursor), False
    if cursor.skip(b" ("):  # RFC 4466 §2.4 select-params
        if cursor.word() != b"CONDSTORE":
            raise BadSyntax("unknown parameter")
        cursor.expect(b")")
        is_condstore = True
    return c.Select(mailbox=name, is_examine=is_examine, is_condstore=is_condstore)


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


def _append(cursor: Cursor) -> c.Command:
    cursor.space()
    name, date = mailbox(cursor), None
    flags: tuple[str, ...] = ()
    cursor.space()
    if cursor.peek() == 0x28:
        flags = flag_list(cursor)
        cursor.space()
    if cursor.peek() == 0x22:
        date = date_time(cursor)
        cursor.space()
    return c.Append(mailbox=name, flags=flags, date=date, message=cursor.literal())


def _uid_expunge(cursor: Cursor) -> c.Command:
    cursor.space()
    return c.Expunge(sequence_set(cursor))


def _search(cursor: Cursor, *, is_uid: bool) -> c.Command:
    return c.Search(key=search_key(cursor), is_uid=is_uid)


def _fetch(cursor: Cursor, *, is_uid: bool) -> c.Command:
    cursor.space()
    numbers = sequence_set(cursor)
    cursor.space()
    items, since = known_items(cursor) or fetch_items(cursor), None
    if cursor.skip(b" ("):  # RFC 4466 §2.4 fetch-modifiers
        if cursor.word() != b"CHANGEDSINCE":
            raise BadSyntax("unknown modifier")
        cursor.space()
        since = cursor.number64()
        cursor.expect(b")")
    return c.Fetch(numbers=numbers, items=items, is_uid=is_uid, changed_since=since)


def _store(cursor: Cursor, *, is_uid: bool) -> c.Command:
    cursor.space()
    numbers, since = sequence_set(cursor), None
    cursor.space()
    if cursor.skip(b"("):  # RFC 4466 §2.5 store-modifiers
        if cursor.word() != b"UNCHANGEDSINCE":
            raise BadSyntax("unknown modifier")
        cursor.space()
        since = cursor.number64()
        cursor.expect(b") ")
    change = c.Change.ADD if cursor.skip(b"+") else None
    change = change or (c.Change.REMOVE if cursor.skip(b"-") else c.Change.REPLACE)
    item = cursor.word()
    if item not in {b"FLAGS", b"FLAGS.SILENT"}:
        raise BadSyntax("expected FLAGS")
    cursor.space()
    flags = flag_list(cursor) if cursor.peek() == 0x28 else _flags(cursor)
    is_silent = item == b"FLAGS.SILENT"
    return c.Store(numbers=numbers, change=change, flags=flags, is_silent=is_silent, is_uid=is_uid,
                   unchanged_since=since)  # fmt: skip


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


def _id(cursor: Cursor) -> c.Command:
    cursor.space()
    if cursor.data[cursor.at : cursor.at + 3].upper() == b"NIL":
        cursor.at += 3
        return c.Id(())
    cursor.expect(b"(")
    fields: list[tuple[str, str | None]] = []
    while not cursor.skip(b")"):
        if fields:
            cursor.space()
        name = text(cursor.string())
        cursor.space()
        value = cursor.nstring()
        fields.append((name, None if value is None else text(value)))
        if len(fields) > MAX_ID_FIELDS:
            raise BadSyntax("too many fields")
    return c.Id(tuple(fields))


def _enable(cursor: Cursor) -> c.Command:
    names: list[bytes] = []
    while not names or cursor.peek() == 0x20:
        cursor.space()
        names.append(cursor.atom().upper())
    return c.Enable(tuple(names))


_COMMANDS: Final = MappingProxyType({
    "CAPABILITY": _bare(c.Capability()),
    "NOOP": _bare(c.Noop()),
    "LOGOUT": _bare(c.Logout()),
    "STARTTLS": _bare(c.StartTls()),
    "AUTHENTICATE": _authenticate,
    "LOGIN": _login,
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
    "APPEND": _append,
    "CHECK": _bare(c.Check()),
    "CLOSE": _bare(c.Close(is_unselect=False)),
    "UNSELECT": _bare(c.Close(is_unselect=True)),
    "EXPUNGE": _bare(c.Expunge(None)),
    "UID EXPUNGE": _uid_expunge,
    "SEARCH": lambda cursor: _search(cursor, is_uid=False),
    "UID SEARCH": lambda cursor: _search(cursor, is_uid=True),
    "FETCH": lambda cursor: _fetch(cursor, is_uid=False),
    "UID FETCH": lambda cursor: _fetch(cursor, is_uid=True),
    "STORE": lambda cursor: _store(cursor, is_uid=False),
    "UID STORE": lambda cursor: _store(cursor, is_uid=True),
    "COPY": lambda cursor: _copy(cursor, is_uid=False, is_move=False),
    "UID COPY": lambda cursor: _copy(cursor, is_uid=True, is_move=False),
    "MOVE": lambda cursor: _copy(cursor, is_uid=False, is_move=True),
    "UID MOVE": lambda cursor: _copy(cursor, is_uid=True, is_move=True),
    "IDLE": _bare(c.Idle()),
    "NAMESPACE": _bare(c.Namespace()),
    "ID": _id,
    "ENABLE": _enable,
})  # fmt: skip
