"""Mailboxes as a whole (RFC 3501 §6.3)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from imap_gateway.client import Client, Done, Handlers
from imap_gateway.errors import Refusal
from imap_gateway.protocol import commands as c
from imap_gateway.protocol import responses
from imap_gateway.view.listing import Pattern, listing, subscribed
from imap_gateway.view.rows import Rows
from posthouse.storage import mailboxes as boxes
from posthouse.storage.messages import copy
from posthouse.storage.snapshots import Page, load_page

MAX_LEVELS = 50
MAX_PATTERN = 1024  # characters; no name is longer


def checked_name(name: str) -> str:
    """Return a name that a new mailbox may have; raise `Refusal`."""
    name = name.removesuffix(boxes.SEPARATOR)  # RFC 3501 §6.3.3: announces levels below
    parts = name.split(boxes.SEPARATOR)
    if parts[0].upper() == boxes.INBOX:
        name = boxes.SEPARATOR.join([boxes.INBOX, *parts[1:]])
    is_bad = (
        not all(parts)
        or len(parts) > MAX_LEVELS
        or len(name.encode()) > boxes.MAX_NAME_OCTETS
        or any(ch in "*%" or not ch.isprintable() for ch in name)
    )
    if is_bad:
        raise Refusal("Not a name for a mailbox", b"CANNOT")
    return name


async def create(client: Client, command: c.Create) -> Done:
    """CREATE (§6.3.3)."""
    await boxes.create_mailbox(client.house.pool, client.account, checked_name(command.mailbox))
    _tell(client)
    return Done("CREATE done")


async def delete(client: Client, command: c.Delete) -> Done:
    """DELETE (§6.3.4): what lies below stays."""
    if command.mailbox == boxes.INBOX:
        raise Refusal("INBOX cannot be deleted", b"CANNOT")
    house = client.house
    mailbox = await boxes.delete_mailbox(house.pool, client.account, command.mailbox)
    house.updates.tell(client.account, mailbox, boxes.LAST_STEP)
    _tell(client)
    if client.selected is not None and client.selected.position.view.mailbox == mailbox:
        client.deselect()
    return Done("DELETE done")


async def rename(client: Client, command: c.Rename) -> Done:
    """RENAME (§6.3.5); from INBOX it moves the messages into a new mailbox."""
    new = checked_name(command.new)
    if command.mailbox == boxes.INBOX:
        await _empty_inbox(client, new)
    elif new == command.mailbox:
        raise boxes.MailboxExists("Mailbox exists")
    elif new.startswith(command.mailbox + boxes.SEPARATOR):
        raise Refusal("A mailbox cannot go below itself", b"CANNOT")
    else:
        await boxes.rename_mailbox(client.house.pool, client.account, command.mailbox, new)
    _tell(client)
    return Done("RENAME done")


def _uids(page: Page) -> list[int]:
    rows = Rows()
    rows.extend(page.messages, page.keywords)
    return rows.uids.tolist()


async def _empty_inbox(client: Client, new: str) -> None:
    """Move all of INBOX to a new mailbox; INBOX and what lies below it stay."""
    house = client.house
    inbox = await boxes.find_mailbox(house.pool, client.account, boxes.INBOX)
    target = await boxes.create_mailbox(house.pool, client.account, new)
    while uids := _uids(await load_page(house.pool, client.account, inbox.id)):
        done = await copy(house.pool, client.account, (inbox.id, target.id), uids, is_move=True)
        house.updates.tell(client.account, inbox.id, done.source_modseq)
        house.updates.tell(client.account, target.id, done.target_modseq)


async def subscribe(client: Client, command: c.Subscribe) -> Done:
    """SUBSCRIBE (§6.3.6) and UNSUBSCRIBE (§6.3.7)."""
    await boxes.subscribe(client.house.pool, client.account, command.mailbox, on=command.on)
    return Done("done")


async def list_(client: Client, command: c.List) -> Done:
    """LIST (§6.3.8) and LSUB (§6.3.9)."""
    word = b"LSUB" if command.is_subscribed else b"LIST"
    if not command.pattern and not command.is_subscribed:  # what is the separator?
        client.wire.write(responses.listed(word, ["\\Noselect"], ""))
        return Done("LIST done")
    if len(command.reference) + len(command.pattern) > MAX_PATTERN:
        raise Refusal("Pattern too long", b"LIMIT")
    pattern = Pattern(command.reference, command.pattern)
    found = await boxes.list_mailboxes(client.house.pool, client.account)
    if command.is_subscribed:
        lost = await boxes.lost_subscriptions(client.house.pool, client.account)
        names = {box.name for box in found if box.subscribed} | set(lost)
        shown = subscribed(names, pattern, is_level_wise=command.pattern.endswith("%"))
    else:
        shown = listing({box.name: box.special_use for box in found}, pattern)
    lines = [responses.listed(word, attributes, name) for name, attributes in shown]
    client.wire.write(b"".join(lines))
    await client.wire.drain()
    return Done("done")


async def status(client: Client, command: c.Status) -> Done:
    """STATUS (§6.3.10, RFC 7162 §3.1.7)."""
    found = await boxes.find_mailbox(client.house.pool, client.account, command.mailbox)
    values = {
        c.StatusItem.MESSAGES: found.exists,
        c.StatusItem.RECENT: await boxes.count_recent(client.house.pool, found),
        c.StatusItem.UIDNEXT: found.uidnext,
        c.StatusItem.UIDVALIDITY: found.uidvalidity,
        c.StatusItem.HIGHESTMODSEQ: found.modseq,
    }
    if c.StatusItem.UNSEEN in command.items:
        unseen = await boxes.count_unseen(client.house.pool, client.account, [found.id])
        values[c.StatusItem.UNSEEN] = unseen[found.id]
    if c.StatusItem.HIGHESTMODSEQ in command.items:
        client.enable(b"CONDSTORE")  # RFC 7162 §3.1: an enabling command
    told = b" ".join(b"%b %d" % (item.value, values[item]) for item in command.items)
    name = responses.mailbox(command.mailbox)
    client.wire.write(responses.untagged(b"STATUS %b (%b)" % (name, told)))
    return Done("STATUS done")


def _tell(client: Client) -> None:
    """The list of mailboxes changed."""
    client.house.updates.tell(client.account, 0, 0)


HANDLERS: Final[Handlers] = MappingProxyType({
    c.Create: create,
    c.Delete: delete,
    c.Rename: rename,
    c.Subscribe: subscribe,
    c.List: list_,
    c.Status: status,
})  # fmt: skip
