"""Mailboxes as a whole: made, removed, renamed, subscribed to (RFC 3501 §6.3, RFC 4314 §4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from imap_gateway import own_changes, places
from imap_gateway.client import Client, Done, Handlers
from imap_gateway.committing import after_commit, committing
from imap_gateway.errors import Refusal
from imap_gateway.places import Place
from imap_gateway.protocol import commands as c
from imap_gateway.protocol import responses
from imap_gateway.protocol.listing import Create
from imap_gateway.special_uses import checked_uses
from imap_gateway.view.listing import ancestors
from imap_gateway.view.names import elsewhere, is_reserved
from imap_gateway.view.rows import Rows
from posthouse.storage import mailboxes as boxes
from posthouse.storage.annotations import copy_annotations
from posthouse.storage.messages import Copied, copy
from posthouse.storage.sharing import Owner, parents_of
from posthouse.storage.snapshots import Page, load_page
from posthouse.storage.subscriptions import subscribe as subscribe_own
from posthouse.storage.subscriptions import subscribe_elsewhere

MAX_LEVELS = 50


def checked_name(name: str) -> str:
    """Return what the owner may call a new mailbox; raise `Refusal`."""
    name = name.removesuffix(boxes.SEPARATOR)  # RFC 3501 §6.3.3: announces levels below
    parts = name.split(boxes.SEPARATOR)
    if parts[0].upper() == boxes.INBOX:
        name = boxes.SEPARATOR.join([boxes.INBOX, *parts[1:]])
    is_bad = (
        not all(parts)
        or len(parts) > MAX_LEVELS
        or len(name.encode()) > boxes.MAX_NAME_OCTETS
        or any(ch in "*%" or not ch.isprintable() for ch in name)
        or is_reserved(name)
    )
    if is_bad:
        raise Refusal("Not a name for a mailbox", b"CANNOT")
    return name


async def _new_place(client: Client, name: str) -> tuple[Place, dict[str, str] | None]:
    """Return where a new mailbox is to be, and the ACL that it inherits.

    Needs the right ``k`` on the next mailbox above (RFC 4314 §4); among one's own, nothing need be
    above. In other people's trees INBOX is the root. Who may not do it hears what would be true if
    there were only mailboxes that it may see.
    """
    name = name.removesuffix(boxes.SEPARATOR)
    there = elsewhere(name, client.user)
    new = checked_name(name if there is None else there.name)
    place = replace(await places.locate(client, name), name=new)
    is_guest = place.owner is not None
    parents = await parents_of(client.house.pool, place.account, new, below_inbox=is_guest)
    given = [await places.rights(client, place.owner, parent) for parent in parents]
    if not parents and not is_guest:
        return place, None
    if given and "k" in given[0]:
        return place, None if parents[0].acl is None else dict(parents[0].acl)
    if any("l" in rights for rights in given):
        raise Refusal("Permission denied", b"NOPERM")
    raise boxes.NoSuchMailbox("No such mailbox")


@asynccontextmanager
async def _taken(client: Client, place: Place) -> AsyncIterator[None]:
    """Let out that a name is taken, but to a guest who may not see what has it."""
    try:
        yield
    except boxes.MailboxExists as error:
        if place.owner is None or place.name in await _seen_names(client, place.owner):
            raise
        raise Refusal("Permission denied", b"NOPERM") from error


async def _seen_names(client: Client, owner: Owner) -> set[str]:
    found = (await places.visible(client)).values()
    return {one.place.name for one in found if one.place.owner == owner}


async def create(client: Client, command: Create) -> Done:
    """CREATE (§6.3.3, RFC 6154 §3); the answer tells the MAILBOXID (RFC 8474 §4.1)."""
    place, acl = await _new_place(client, command.mailbox)
    uses = checked_uses(command.uses, is_own=place.owner is None)
    async with _taken(client, place):
        made = await boxes.create_mailbox(
            client.house.pool, place.account, place.name, uses, acl=acl
        )
    with after_commit():
        await own_changes.made(client, place, made)
    _tell(client, place)
    return Done("CREATE done", b"MAILBOXID (%b)" % made.object_id.encode())


async def delete(client: Client, command: c.Delete) -> Done:
    """DELETE (§6.3.4) needs the right ``x``; what lies below stays."""
    try:
        found = await places.find(client, command.mailbox, "x")
    except boxes.NoSuchMailbox:
        await _demand_childless(client, command.mailbox)
        raise
    if found.mailbox.name == boxes.INBOX:
        raise Refusal("INBOX cannot be deleted", b"CANNOT")
    house, place = client.house, found.place
    mailbox = await boxes.delete_mailbox(house.pool, place.account, found.mailbox.name)
    own_changes.gone(client, place)
    house.updates.tell(place.account, mailbox, boxes.LAST_STEP)
    _tell(client, place)
    if client.selected is not None and client.selected.position.view.mailbox == mailbox:
        client.deselect()
        client.wire.write(responses.untagged(b"OK [CLOSED] Mailbox left"))
    return Done("DELETE done")


async def _demand_childless(client: Client, name: str) -> None:
    """Raise `Refusal` if ``name`` is no mailbox but a level above some (RFC 9051 §6.3.5)."""
    if name in ancestors(await places.visible(client)):
        raise Refusal("There are mailboxes below it", b"HASCHILDREN")


async def rename(client: Client, command: c.Rename) -> Done:
    """RENAME (§6.3.5); from INBOX it moves the messages into a new mailbox.

    Needs ``x`` on the mailbox and ``k`` above the new name (RFC 4314 §4); ACLs stay.
    """
    place = await places.locate(client, command.mailbox)
    if place.name == boxes.INBOX:
        await _empty_inbox(client, place, command)
    else:
        if place.owner is not None:
            await places.find(client, command.mailbox, "x")
        target, _ = await _new_place(client, command.new)
        if target.account != place.account:
            raise Refusal("A mailbox stays with its owner", b"CANNOT")
        if target.name == place.name:
            raise boxes.MailboxExists("Mailbox exists")
        if target.name.startswith(place.name + boxes.SEPARATOR):
            raise Refusal("A mailbox cannot go below itself", b"CANNOT")
        async with _taken(client, target):
            await boxes.rename_mailbox(client.house.pool, place.account, place.name, target.name)
        own_changes.renamed(client, place, target)
    _tell(client, place)
    return Done("RENAME done")


def _uids(page: Page) -> list[int]:
    rows = Rows()
    rows.extend(page.messages, page.keywords)
    return rows.uids.tolist()


async def _empty_inbox(client: Client, place: Place, command: c.Rename) -> None:
    """Move all of INBOX to a new mailbox; INBOX and what lies below it stay."""
    if place.owner is not None:
        await places.find(client, command.mailbox, "x")
        raise Refusal("Only one's own INBOX can be renamed", b"CANNOT")
    house = client.house
    inbox = await boxes.find_mailbox(house.pool, client.account, boxes.INBOX)
    there, acl = await _new_place(client, command.new)
    if there.owner is not None:
        raise Refusal("A mailbox stays with its owner", b"CANNOT")
    target = await boxes.create_mailbox(house.pool, client.account, there.name, acl=acl)
    await own_changes.made(client, there, target)
    with committing(is_partly_done=True):
        await copy_annotations(house.pool, client.account, inbox.id, target.id)
        while uids := _uids(await load_page(house.pool, client.account, inbox.id)):
            done = await copy(house.pool, client.account, (inbox.id, target.id), uids, is_move=True)
            _tell_moved(client, (inbox.id, target.id), done)
    selected = client.selected
    if selected is not None and selected.position.view.key == (client.account, inbox.id):
        with after_commit():
            await house.views.refresh(selected.position.view)


def _tell_moved(client: Client, boxes_: tuple[int, int], done: Copied) -> None:
    """Let everybody but this client know which messages left INBOX."""
    here, there = ((client.account, box) for box in boxes_)
    many = len(done.source_uids)
    own_changes.left(client, here, many, done.source_modseq)
    came = range(done.first_uid, done.first_uid + many)
    own_changes.filed(client, there, came, done.target_modseq)
    client.house.updates.tell(*here, done.source_modseq)
    client.house.updates.tell(*there, done.target_modseq)


async def subscribe(client: Client, command: c.Subscribe) -> Done:
    """SUBSCRIBE (§6.3.6) needs the right ``l``; UNSUBSCRIBE (§6.3.7) none."""
    pool, name = client.house.pool, command.mailbox
    if elsewhere(name, client.user) is None:
        await subscribe_own(pool, client.account, name, on=command.on)
        own_changes.subscribed(client, name, on=command.on)
        client.house.updates.tell(client.account, 0, 0)
        return Done("done")
    if command.on:
        await places.find(client, name, "l")
    await subscribe_elsewhere(pool, client.account, name, on=command.on)
    own_changes.subscribed(client, name, on=command.on)
    client.house.updates.tell(client.account, 0, 0)
    return Done("done")


async def namespace(client: Client, _command: c.Namespace) -> Done:
    """NAMESPACE (RFC 2342 §5): one's own, other users', shared."""
    told = b'NAMESPACE (("" "/")) (("user/" "/")) (("shared/" "/"))'
    client.wire.write(responses.untagged(told))
    return Done("NAMESPACE done")


def _tell(client: Client, place: Place) -> None:
    """The list of an account's mailboxes changed."""
    client.house.updates.tell(place.account, 0, 0)


HANDLERS: Final[Handlers] = MappingProxyType({
    Create: create,
    c.Delete: delete,
    c.Rename: rename,
    c.Subscribe: subscribe,
    c.Namespace: namespace,
})  # fmt: skip
