"""APPEND (RFC 3501 §6.3.11, RFC 4315 §3): the octets are durable before the rows are committed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from imap_gateway.client import Client, Done, Handlers
from imap_gateway.errors import Refusal
from imap_gateway.handlers.storing import make_keywords
from imap_gateway.protocol import commands as c
from imap_gateway.view.flags import split
from posthouse.mail.envelope import Summary
from posthouse.mail.ids import new_id, object_key
from posthouse.mime import scan
from posthouse.storage.appending import NewMessage
from posthouse.storage.mailboxes import NoSuchMailbox, find_mailbox

INLINE_OCTETS = 128 * 1024  # a larger message is scanned in a thread


async def append_(client: Client, command: c.Append) -> Done:
    """APPEND; a mailbox that is missing can be created by the client (TRYCREATE)."""
    house, message = client.house, command.message
    if not message:
        raise Refusal("An empty message cannot be appended", b"CANNOT")
    if len(message) > house.limits.message_octets:
        raise Refusal("Message too large", b"TOOBIG")
    try:
        if len(message) > INLINE_OCTETS:  # too much to be stored in vain
            await find_mailbox(house.pool, client.account, command.mailbox)
        bits, words = split(command.flags)
        await make_keywords(client, words)
        ident = new_id()
        summary, _ = await asyncio.gather(
            _scan(message), house.blobs.put(object_key(ident), message)
        )
        new = NewMessage(
            account=client.account,
            mailbox=command.mailbox,
            object_id=ident,
            size=len(message),
            summary=summary,
            internaldate=command.date or datetime.now(UTC),
            flags=bits,
            keywords=[n for word in words if (n := client.keywords.number(word)) is not None],
        )
        done = await house.appender.append(new)
    except NoSuchMailbox as error:
        raise Refusal("No such mailbox", b"TRYCREATE") from error
    house.updates.tell(client.account, done.mailbox, done.modseq)
    selected = client.selected
    if selected is not None and selected.position.view.mailbox == done.mailbox:
        await house.views.refresh(selected.position.view)
    return Done("APPEND done", b"APPENDUID %d %d" % (done.uidvalidity, done.uid))


async def _scan(message: bytes) -> Summary:
    if len(message) <= INLINE_OCTETS:
        return scan(message)
    return await asyncio.to_thread(scan, message)


HANDLERS: Final[Handlers] = MappingProxyType({
    c.Append: append_,
})  # fmt: skip
