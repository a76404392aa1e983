"""SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314 §3).

An identifier is the address of an account (without a domain: of the owner's), ``group:`` with an
alias, ``owner``, or ``anyone``; ``-`` before it takes rights away.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from imap_gateway import places
from imap_gateway.client import Client, Done, Handlers
from imap_gateway.errors import Refusal
from imap_gateway.handlers.listing import rights_line
from imap_gateway.places import Found
from imap_gateway.protocol import responses
from imap_gateway.protocol import sharing as v
from posthouse.mail import rights as r
from posthouse.storage.sharing import change_acl, known_identifiers

ANY_OF = "lrikxa"  # RFC 4314 §4 MYRIGHTS


async def set_acl(client: Client, command: v.SetAcl) -> Done:
    """SETACL (§3.1) and DELETEACL (§3.2) need the right ``a``."""
    found = await places.find(client, command.mailbox, "a")
    identifier = _canonical(client, found, command.identifier)
    if identifier.removeprefix("-") == _owner(client, found):
        raise Refusal("The owner has all rights", b"CANNOT")
    if command.change is not v.Change.REMOVE and command.rights:
        await _demand_known(client, identifier)

    def edit(acl: Mapping[str, str]) -> Mapping[str, str]:
        rights = _changed(command, acl.get(identifier, ""))
        new = {name: given for name, given in acl.items() if name != identifier}
        if rights:
            new[identifier] = rights
        if len(new) > r.MAX_IDENTIFIERS:
            raise Refusal("Too many identifiers", b"LIMIT")
        return new

    await change_acl(client.house.pool, found.place.account, found.mailbox.id, edit)
    client.house.updates.tell(found.place.account, 0, 0)
    return Done("ACL changed")


def _changed(command: v.SetAcl, before: str) -> str:
    match command.change:
        case v.Change.ADD:
            return r.in_order({*before, *command.rights})
        case v.Change.REMOVE:
            return r.in_order(set(before) - set(command.rights))
        case v.Change.REPLACE:
            return command.rights


def _owner(client: Client, found: Found) -> str:
    return client.user if found.place.owner is None else found.place.owner.address


def _canonical(client: Client, found: Found, written: str) -> str:
    """Return an identifier as the ACL has it; raise `Refusal` if it can be none."""
    sign, name = ("-", written[1:]) if written.startswith("-") else ("", written)
    name = name.lower()
    owner = _owner(client, found)
    if not name or len(name.encode()) > r.MAX_IDENTIFIER_OCTETS:
        raise Refusal("Not an identifier", b"CANNOT")
    if name == "owner":
        name = owner
    elif name != r.ANYONE and "@" not in name:
        name = f"{name}@{owner.rpartition('@')[2]}"
    return sign + name


async def _demand_known(client: Client, identifier: str) -> None:
    name = identifier.removeprefix("-")
    if name != r.ANYONE and name not in await known_identifiers(client.house.pool, [name]):
        raise Refusal("Nobody of this name", b"CANNOT")


async def get_acl(client: Client, command: v.GetAcl) -> Done:
    """GETACL (§3.3) needs the right ``a``; the owner is told though it has no entry."""
    found = await places.find(client, command.mailbox, "a")
    is_nobodys = found.place.owner is not None and found.place.owner.is_shared
    acl = {} if is_nobodys else {_owner(client, found): r.ALL}
    acl |= found.mailbox.acl or {}
    told = b"".join(
        b" %b %b" % (responses.astring(name.encode()), r.shown_rights(given).encode() or b'""')
        for name, given in acl.items()
    )
    client.wire.write(responses.untagged(b"ACL " + client.shown(command.mailbox) + told))
    return Done("GETACL done")


async def list_rights(client: Client, command: v.ListRights) -> Done:
    """LISTRIGHTS (§3.4) needs the right ``a``: none is tied to another, but an owner has all."""
    found = await places.find(client, command.mailbox, "a")
    identifier = _canonical(client, found, command.identifier)
    if identifier == _owner(client, found):
        told = [r.shown_rights(r.ALL).encode()]
    else:
        told = [b'""', *(right.encode() for right in (*r.ALL, "c", "d"))]
    name = responses.astring(command.identifier.encode())
    line = b" ".join([b"LISTRIGHTS", client.shown(command.mailbox), name, *told])
    client.wire.write(responses.untagged(line))
    return Done("LISTRIGHTS done")


async def my_rights(client: Client, command: v.MyRights) -> Done:
    """MYRIGHTS (§3.5) needs one of ``lrikxa``."""
    found = await places.find(client, command.mailbox, any_of=ANY_OF)
    client.wire.write(rights_line(client.shown(command.mailbox), found.rights))
    return Done("MYRIGHTS done")


HANDLERS: Final[Handlers] = MappingProxyType({
    v.SetAcl: set_acl,
    v.GetAcl: get_acl,
    v.ListRights: list_rights,
    v.MyRights: my_rights,
})  # fmt: skip
