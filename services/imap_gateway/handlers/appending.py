"""APPEND and REPLACE (RFC 3501 §6.3.11, RFC 3502, RFC 4315 §3, RFC 8508).

The octets are durable before the rows are committed, and all rows of a command in one commit. What
fails before leaves, at worst, octets that no row names; the collector takes those away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from imap_gateway import own_changes, places
from imap_gateway.client import Client, Done, Handlers
from imap_gateway.committing import after_commit, committing
from imap_gateway.composing.assembling import assembled, at_hand
from imap_gateway.composing.putting import Puts
from imap_gateway.errors import Refusal
from imap_gateway.handlers.fetching import FRESH_SECONDS
from imap_gateway.handlers.storing import keyword_numbers
from imap_gateway.memory.drafts import Content
from imap_gateway.protocol.appending import Append, NewMessage, Replace
from imap_gateway.protocol.cursor import BadSyntax
from imap_gateway.protocol.responses import untagged
from imap_gateway.protocol.sequences import write_set
from imap_gateway.view.flags import SEEN, split
from posthouse.mail.ids import new_id, object_key
from posthouse.mime import scan
from posthouse.storage import appending as store
from posthouse.storage.mailboxes import NoSuchMailbox, find_mailbox


async def append_(client: Client, command: Append) -> Done:
    """APPEND; a mailbox that is missing can be created by the client (TRYCREATE)."""
    house = client.house
    try:
        target = await places.target(client, command.mailbox)
        news = await _stored(client, target, command.messages)
        with committing():
            if len(news) == 1 and news[0].reader is None:
                done = [await house.appender.append(news[0])]
            else:
                done = await store.append_together(house.pool, news)
    except NoSuchMailbox as error:
        raise Refusal("No such mailbox", b"TRYCREATE") from error
    await _tell(client, news[-1].account, done)
    return Done("APPEND done", _appenduid(done) if "r" in target.rights else b"")


async def replace(client: Client, command: Replace) -> Done:
    """REPLACE and UID REPLACE: the new message comes and the old one goes in one commit."""
    selected, house = client.writable(), client.house
    await places.demand_now(client, "te")
    view = selected.position.view
    await house.views.refresh(view, max_age=FRESH_SECONDS)
    uid = _replaced(client, command)
    old = store.Old(account=view.account, mailbox=view.mailbox, uid=uid)
    try:
        target = await places.target(client, command.mailbox)
        news = await _stored(client, target, (command.message,))
        with committing():
            done = await store.replace(house.pool, old, news[0])
    except NoSuchMailbox as error:
        raise Refusal("No such mailbox", b"TRYCREATE") from error
    except store.NoSuchMessage as error:
        raise Refusal("The message was expunged", b"EXPUNGEISSUED") from error
    if "r" in target.rights:  # RFC 8508 §4.3: the new UID is told before the old message goes
        client.wire.write(untagged(b"OK [%b] Replacement is there" % _appenduid([done.new])))
    await _tell(client, news[0].account, [done.new])
    house.updates.tell(view.account, view.mailbox, done.modseq)
    with after_commit():
        await house.views.expunged(view, done.modseq, (uid,))
    return Done("REPLACE done")


def _replaced(client: Client, command: Replace) -> int:
    """Return the UID of the message that goes; raise `BadSyntax` or `Refusal` if there is none."""
    position = client.mailbox().position
    if command.is_uid and command.number:
        return command.number
    if not position.count or command.number > position.count:
        raise BadSyntax("no such message")
    return position.uid((command.number or position.count) - 1)


async def _stored(
    client: Client, target: places.Target, messages: tuple[NewMessage, ...]
) -> list[store.NewMessage]:
    """Put the octets into the object store; return the rows that are to be committed."""
    if len(messages) > 1 or at_hand(messages[0]) is None:  # too much to do in vain
        await find_mailbox(client.house.pool, target.account, target.name)
    news, puts = [], Puts(client.house.blobs)
    for number, message in enumerate(messages):
        client.progress = number, len(messages)
        if (octets := at_hand(message)) is not None:  # nearly all
            news.append(await _put(client, puts, target, message, octets))
            continue
        async with assembled(client, message) as content:
            news.append(await _put(client, puts, target, message, content))
    await puts.done()
    return news


async def _put(
    client: Client, puts: Puts, target: places.Target, message: NewMessage, content: Content
) -> store.NewMessage:
    """Return the row of a message that is stored, a small one as soon as ``puts`` are done."""
    ident, size = new_id(), _size(content)
    if not size:
        raise Refusal("An empty message cannot be appended", b"CANNOT")
    if size > client.house.limits.message_octets:
        raise Refusal("Message too large", b"TOOBIG")
    if isinstance(content, bytes):
        await puts.add(object_key(ident), content)  # it is written while we do the rest
    bits, words = places.flags_kept(target.rights, *split(message.flags))
    reader = None
    if target.account != client.account:  # the flag is the owner's; a guest's own is kept apart
        reader = client.account if bits & SEEN else None
        bits &= ~SEEN
    keywords = await keyword_numbers(client, target.account, words) if words else ()
    if isinstance(content, bytes):
        summary = scan(content)
    else:
        putting = client.house.blobs.put_file(object_key(ident), content.descriptor)
        _, summary = await asyncio.gather(putting, content.work(scan, content.pages()))
    _demand_ascii(client, summary.header)
    return store.NewMessage(
        account=target.account,
        mailbox=target.name,
        object_id=ident,
        size=size,
        summary=summary,
        internaldate=message.date or datetime.now(UTC),
        flags=bits,
        keywords=keywords,
        reader=reader,
    )


def _demand_ascii(client: Client, header: bytes) -> None:
    """Refuse UTF-8 in the header from who has not enabled it (RFC 6855 §4).

    What is in no charset that could be known is not UTF-8 for anybody: old mail, taken as it is.
    """
    if client.is_utf8 or header.isascii():
        return
    try:
        header.decode()
    except UnicodeDecodeError:
        return
    raise Refusal("The header is in UTF-8: ENABLE UTF8=ACCEPT first")


def _size(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.size


async def _tell(client: Client, account: int, done: Sequence[store.Appended]) -> None:
    """Let everybody know of the new messages, this session at once."""
    mailbox, step, selected = done[-1].mailbox, done[-1].modseq, client.selected
    came = range(done[0].uid, done[-1].uid + 1)
    own_changes.filed(client, (account, mailbox), came, step, steps=len(done))
    client.house.updates.tell(account, mailbox, step)
    if selected is not None and selected.position.view.mailbox == mailbox:
        with after_commit():
            await client.house.views.refresh(selected.position.view, is_stale=True)


def _appenduid(done: list[store.Appended]) -> bytes:
    """``resp-code-apnd`` (RFC 4315 §4, RFC 3502): for who may read there (RFC 9051 §6.3.12)."""
    uids = write_set([one.uid for one in done])
    return b"APPENDUID %d %b" % (done[0].uidvalidity, uids)


HANDLERS: Final[Handlers] = MappingProxyType(
    {
        Append: append_,
        Replace: replace,
    }
)
