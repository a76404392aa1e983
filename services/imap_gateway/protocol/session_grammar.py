"""Commands about the session itself (RFC 3501 §6.1, §6.2; RFC 2342, 2971, 5161, 2177)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from imap_gateway.protocol import commands as c
from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.rules import Rule, bare
from imap_gateway.protocol.words import text

MAX_ID_FIELDS = 30  # RFC 2971 §3.3

_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}|=")


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


RULES: Final[Mapping[str, Rule]] = MappingProxyType({
    "CAPABILITY": bare(c.Capability()),
    "NOOP": bare(c.Noop()),
    "LOGOUT": bare(c.Logout()),
    "STARTTLS": bare(c.StartTls()),
    "AUTHENTICATE": _authenticate,
    "LOGIN": _login,
    "IDLE": bare(c.Idle()),
    "NAMESPACE": bare(c.Namespace()),
    "ID": _id,
    "ENABLE": _enable,
})  # fmt: skip
