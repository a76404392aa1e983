"""Parts of messages that are there already, by their URLs (RFC 4469 §3)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from imap_gateway import places
from imap_gateway.client import Client
from imap_gateway.errors import Refusal
from imap_gateway.protocol.appending import Url
from imap_gateway.protocol.cursor import BadSyntax
from imap_gateway.protocol.items import Text
from imap_gateway.protocol.urls import MessageUrl, message_url
from imap_gateway.reading.columns import find_section, part_of, section_octets
from posthouse.mail.errors import MissingObject
from posthouse.storage.contents import Place, find_place
from posthouse.storage.mailboxes import NoSuchMailbox

PIECE_OCTETS = 256 * 1024

_NOT_SHOWN = re.compile(rb"[^ -\[^-~]")


async def linked(client: Client, url: Url) -> AsyncIterator[bytes]:
    r"""Yield the octets that ``url`` names, ``\Seen`` or not; raise `Refusal` if there are none."""
    try:
        what = message_url(url.text)
        place = await _place(client, what)
        span = find_section(place, what.section)
    except (BadSyntax, NoSuchMailbox, Refusal) as error:
        raise _bad(url) from error
    if span is None:
        raise _bad(url)
    try:
        if what.section.text in {Text.FIELDS, Text.FIELDS_NOT}:
            yield await section_octets(client, place, what.section) or b""
            return
        start, end = part_of(span, what.section)
        for at in range(start, end, PIECE_OCTETS):
            yield await client.house.bodies.span(place, at, min(at + PIECE_OCTETS, end))
    except MissingObject as error:
        raise _bad(url) from error


async def _place(client: Client, what: MessageUrl) -> Place:
    """Return where the message is; raise `NoSuchMailbox` if there is none such."""
    pool = client.house.pool
    if what.mailbox is None:
        if client.selected is None:
            raise NoSuchMailbox("No mailbox is selected")
        await places.demand_now(client, "r")
        view = client.selected.position.view
        account, mailbox, validity = view.account, view.mailbox, view.uidvalidity
    else:
        found = (await places.find(client, what.mailbox, "r")).mailbox
        account, mailbox, validity = found.account, found.id, found.uidvalidity
    if what.uidvalidity not in {None, validity}:
        raise NoSuchMailbox("The mailbox is another one")
    place = await find_place(pool, account, mailbox, what.uid)
    if place is None:
        raise NoSuchMailbox("No such message")
    return place


def _bad(url: Url) -> Refusal:
    """RFC 4469 §4.1; what no response code can hold is left out of it."""
    return Refusal("No such part of a message", b"BADURL " + _NOT_SHOWN.sub(b"", url.text))
