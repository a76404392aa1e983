"""Opening and closing a mailbox (RFC 3501 §6.3.1, §6.3.2, §6.4.2; RFC 3691; RFC 7162 §3.1.2)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from imap_gateway.client import Client, Done, Handlers, Selected
from imap_gateway.handlers.resyncing import resync
from imap_gateway.protocol import commands as c
from imap_gateway.protocol import responses
from imap_gateway.state import State
from imap_gateway.telling import know_keywords
from imap_gateway.vanishing import demand_qresync
from imap_gateway.view.flags import ALL_BITS, SEEN, TABLE
from imap_gateway.view.position import Position
from posthouse.storage.mailboxes import Mailbox, claim_recent, find_mailbox
from posthouse.storage.messages import expunge


async def select(client: Client, command: c.Select) -> Done:
    """SELECT and EXAMINE; a failure leaves no mailbox selected."""
    house = client.house
    if command.resync is not None:
        demand_qresync(client)
    if client.selected is not None:
        client.deselect()
        client.wire.write(responses.untagged(b"OK [CLOSED] Mailbox left"))  # RFC 7162 §3.2.11
    if b"CONDSTORE" in command.parameters:
        client.enable(b"CONDSTORE")
    found = await find_mailbox(house.pool, client.account, command.mailbox)
    position = await house.views.open(client.account, found.id, found.uidvalidity, client.wire)
    view = position.view
    client.selected = Selected(
        name=command.mailbox, position=position, is_read_only=command.is_examine
    )
    client.state = State.SELECTED
    await _claim(client, found, position, is_read_only=command.is_examine)
    used = tuple(view.rows.keywords.values())  # at once: a step may be under way in a thread
    await know_keywords(client, tuple({number for numbers in used for number in numbers}))
    client.wire.write(_opening(client, position, is_read_only=command.is_examine))
    if command.resync is not None:
        await resync(client, command.resync)
    if command.is_examine:
        return Done("EXAMINE done", b"READ-ONLY")
    return Done("SELECT done", b"READ-WRITE")


async def _claim(client: Client, found: Mailbox, position: Position, *, is_read_only: bool) -> None:
    uidnext, first = position.view.uidnext, found.recent_uid
    if first < uidnext and not is_read_only:
        first = await claim_recent(client.house.pool, client.account, found.id, uidnext)
    position.claim(first, uidnext)


def _opening(client: Client, position: Position, *, is_read_only: bool) -> bytes:
    """Return what SELECT tells (RFC 3501 §6.3.1)."""
    view = position.view
    flags = b" ".join([TABLE[ALL_BITS], *(name.encode() for name in client.keywords.all_names())])
    permanent = b"" if is_read_only else flags + b" \\*"
    lines = [
        b"FLAGS (%b)" % flags,
        b"OK [PERMANENTFLAGS (%b)] Flags that stay" % permanent,
        b"%d EXISTS" % position.count,
        b"%d RECENT" % position.recent_count(),
    ]
    first_unseen = view.rows.first_without(SEEN) + 1
    if first_unseen:
        lines.append(b"OK [UNSEEN %d] First unseen message" % first_unseen)
    lines += [
        b"OK [UIDVALIDITY %d] UIDs are valid" % view.uidvalidity,
        b"OK [UIDNEXT %d] Predicted next UID" % position.uidnext,
        b"OK [HIGHESTMODSEQ %d] Latest change" % position.step,
    ]
    return b"".join(map(responses.untagged, lines))


async def close(client: Client, command: c.Close) -> Done:
    r"""CLOSE removes ``\Deleted`` messages without telling (§6.4.2); UNSELECT does not."""
    selected = client.mailbox()
    view = selected.position.view
    if not command.is_unselect and not selected.is_read_only:
        house = client.house
        done = await expunge(house.pool, client.account, view.mailbox)
        if done.uids:
            await house.views.expunged(view, done.modseq, done.uids)
            house.updates.tell(client.account, view.mailbox, done.modseq)
    client.deselect()
    return Done("closed")


HANDLERS: Final[Handlers] = MappingProxyType({
    c.Select: select,
    c.Close: close,
})  # fmt: skip
