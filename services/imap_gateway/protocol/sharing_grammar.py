"""The commands of RFC 4314 §7 and RFC 9208 §7."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from imap_gateway.protocol import sharing as v
from imap_gateway.protocol.commands import Command
from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.rules import Rule
from imap_gateway.protocol.words import mailbox, text
from posthouse.mail.rights import parse_rights


def _named(make: Callable[[str], Command]) -> Rule:
    def rule(cursor: Cursor) -> Command:
        cursor.space()
        return make(mailbox(cursor))

    return rule


def _identifier(cursor: Cursor) -> str:
    cursor.space()
    return text(cursor.astring())


def _set_acl(cursor: Cursor) -> Command:
    cursor.space()
    name = mailbox(cursor)
    identifier = _identifier(cursor)
    cursor.space()
    written = text(cursor.astring())
    change = v.Change(written[:1]) if written[:1] in {"+", "-"} else v.Change.REPLACE
    try:
        rights = parse_rights(written.removeprefix(change.value))
    except ValueError as error:
        raise BadSyntax("unknown right") from error  # RFC 4314 §3.1: BAD
    return v.SetAcl(mailbox=name, identifier=identifier, change=change, rights=rights)


def _delete_acl(cursor: Cursor) -> Command:
    cursor.space()
    name = mailbox(cursor)
    return v.SetAcl(
        mailbox=name, identifier=_identifier(cursor), change=v.Change.REPLACE, rights=""
    )


def _list_rights(cursor: Cursor) -> Command:
    cursor.space()
    name = mailbox(cursor)
    return v.ListRights(name, _identifier(cursor))


def _get_quota(cursor: Cursor) -> Command:
    cursor.space()
    return v.GetQuota(text(cursor.astring()))


def _set_quota(cursor: Cursor) -> Command:
    cursor.space()
    root = text(cursor.astring())
    cursor.expect(b" (")
    limits: dict[v.Resource, int] = {}
    is_first = True
    while not cursor.skip(b")"):
        if not is_first:
            cursor.space()
        is_first = False
        try:
            resource = v.Resource(cursor.word())
        except ValueError as error:
            raise BadSyntax("unknown resource") from error
        cursor.space()
        limits[resource] = cursor.number64()
    return v.SetQuota(root, MappingProxyType(limits))


RULES: Final[Mapping[str, Rule]] = MappingProxyType({
    "SETACL": _set_acl,
    "DELETEACL": _delete_acl,
    "GETACL": _named(v.GetAcl),
    "LISTRIGHTS": _list_rights,
    "MYRIGHTS": _named(v.MyRights),
    "GETQUOTA": _get_quota,
    "GETQUOTAROOT": _named(v.GetQuotaRoot),
    "SETQUOTA": _set_quota,
})  # fmt: skip
