"""Opening and closing a mailbox (RFC 3501 §6.3.1, §6.3.2, §6.4.2; RFC 3691; RFC 7162 §3.1.2)."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Final

from imap_gateway import places
from imap_gateway.client import Client, Done, Handlers, Selected
from imap_gateway.errors import Refusal
from imap_gateway.expunging import expunge_deleted
from imap_gateway.handlers.listing import list_one
from imap_gateway.handlers.resyncing import resync
from imap_gateway.own_seen import know_own_seen
from imap_gateway.protocol import commands as c
from imap_gateway.protocol import responses
from imap_gateway.state import State
from imap_gateway.telling import know_keywords, permanent_flags, shown_keywords
from imap_gateway.vanishing import demand_qresync
from imap_gateway.view.flags import ALL_BITS, NO_KEYWORDS, SEEN, TABLE, Keywords
from imap_gateway.view.position import Position
from posthouse.mail.errors import MailFailure
from posthouse.storage.counting import count_recent
from posthouse.storage.mailboxes import Mailbox, NoSuchMailbox, claim_recent

CHANGING = frozenset("swite")  # RFC 4314 §5.2: without any of these a mailbox is read-only


async def select(client: Client, command: c.Select) -> Done:
    """SELECT and EXAMINE; a failure leaves no mailbox selected."""
    house = client.house
    if command.resync is not None:
        demand_qresync(client, command.resync)
    if client.selected is not None:
        client.deselect()
        client.wire.write(responses.untagged(b"OK [CLOSED] Mailbox left"))  # RFC 7162 §3.2.11
    if b"CONDSTORE" in command.parameters:
        client.enable(b"CONDSTORE")
    found, keywords = await places.find_to_open(client, command.mailbox)
    box = found.mailbox
    is_own = found.place.owner is None
    may_wait = is_own and command.resync is None  # these answers need no message
    position = house.views.open_ahead(box, client.wire) if may_wait else None
    position = position or await house.views.open(box, client.wire)
    client.selected = selected = Selected(
        name=command.mailbox,
        position=position,
        is_read_only=command.is_examine or not CHANGING & found.rights,
        rights=found.rights,
        owner=found.place.owner,
        uses=box.uses,
    )
    client.keywords = Keywords(keywords) if is_own and keywords else NO_KEYWORDS
    client.state = State.SELECTED
    try:
        await _tell(client, command, selected, box)
    except (MailFailure, Refusal):
        client.deselect()
        raise
    name = "EXAMINE" if command.is_examine else "SELECT"
    return Done(f"{name} done", b"READ-ONLY" if selected.is_read_only else b"READ-WRITE")


async def _tell(client: Client, command: c.Select, selected: Selected, box: Mailbox) -> None:
    position = selected.position
    await know_own_seen(client, position)
    await _claim(client, box, selected)
    if position.is_here:
        await know_keywords(client, tuple(position.view.rows.keywords.used()))
    recent = await _recent_count(client, position, box)
    client.wire.write(_opening(client, selected, box, recent))
    if client.is_rev2:
        await list_one(client, box, selected.name, command.given)
    if command.resync is not None:
        await resync(client, command.resync)


async def _claim(client: Client, found: Mailbox, selected: Selected) -> None:
    if client.is_rev2:
        return  # nothing is recent (RFC 9051 appendix E, 12)
    uidnext, first = selected.position.uidnext, found.recent_uid
    if first < uidnext and selected.claims_recent:
        first = await claim_recent(client.house.pool, found.account, found.id, uidnext)
    selected.position.claim(first, uidnext)


async def _recent_count(client: Client, position: Position, box: Mailbox) -> int:
    if position.is_here or not position.recent:
        return position.recent_count()
    [(first, _)] = position.recent
    if first == 1:
        return position.count
    return await count_recent(client.house.pool, replace(box, recent_uid=first))


def _opening(client: Client, selected: Selected, box: Mailbox, recent: int) -> bytes:
    """Return what SELECT tells (RFC 3501 §6.3.1).

    The first unseen message is not told of a large mailbox that is not in memory yet.
    """
    position = selected.position
    view = position.view
    flags = b" ".join([TABLE[ALL_BITS], *shown_keywords(client, selected)])
    lines = [
        b"FLAGS (%b)" % flags,
        permanent_flags(client, selected),
        b"%d EXISTS" % position.count,
    ]
    if not client.is_rev2:
        lines.append(b"%d RECENT" % recent)
    first_unseen = _first_unseen(position) + 1 if position.is_here else 0
    if first_unseen and not (client.is_uidonly or client.is_rev2):
        lines.append(b"OK [UNSEEN %d] First unseen message" % first_unseen)
    lines += [
        b"OK [MAILBOXID (%b)] Stays the same" % box.object_id.encode(),  # RFC 8474 §4.2
        b"OK [UIDVALIDITY %d] UIDs are valid" % view.uidvalidity,
        b"OK [UIDNEXT %d] Predicted next UID" % position.uidnext,
        b"OK [HIGHESTMODSEQ %d] Latest change" % position.step,
    ]
    return b"".join(map(responses.untagged, lines))


def _first_unseen(position: Position) -> int:
    rows, seen = position.view.rows, position.seen
    return rows.first_without(SEEN) if seen is None else seen.first_unseen(rows)


async def close(client: Client, command: c.Close) -> Done:
    r"""CLOSE removes ``\Deleted`` messages without telling (§6.4.2); UNSELECT does not."""
    selected = client.mailbox()
    if not command.is_unselect and not selected.is_read_only and await _may_expunge(client):
        await expunge_deleted(client, None)
    client.deselect()
    return Done("closed")


async def _may_expunge(client: Client) -> bool:
    """Without the right ``e``, or the mailbox, CLOSE closes all the same (RFC 4314 §4)."""
    try:
        return "e" in await places.demand_now(client, "")
    except NoSuchMailbox:
        return False


HANDLERS: Final[Handlers] = MappingProxyType({
    c.Select: select,
    c.Close: close,
})  # fmt: skip
