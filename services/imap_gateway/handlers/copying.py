"""COPY, MOVE and EXPUNGE (RFC 3501 §6.4.3, §6.4.7; RFC 6851; RFC 4315)."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from imap_gateway import own_changes, places
from imap_gateway.aside import aside
from imap_gateway.client import Client, Done, Handlers
from imap_gateway.committing import after_commit, committing
from imap_gateway.errors import Refusal
from imap_gateway.expunging import expunge_deleted
from imap_gateway.handlers.fetching import FRESH_SECONDS, choose
from imap_gateway.places import Found
from imap_gateway.protocol import commands as c
from imap_gateway.protocol.responses import untagged
from imap_gateway.protocol.sequences import write_set
from imap_gateway.view.flags import SEEN
from imap_gateway.view.position import Position, message_rows
from posthouse.storage.copying import Terms, copy_to
from posthouse.storage.mailboxes import NoSuchMailbox
from posthouse.storage.messages import Copied


async def copy_(client: Client, command: c.Copy) -> Done:
    """COPY, MOVE and their UID forms: all messages or none."""
    selected = client.writable() if command.is_move else client.mailbox()
    await places.demand_now(client, "te" if command.is_move else "")  # RFC 6851 §4.1
    view, house = selected.position.view, client.house
    indexes = await choose(selected.position, command.numbers, is_uid=command.is_uid)
    uids = await aside(len(indexes), selected.position.uids_of, indexes)
    try:
        found = await places.find(client, command.mailbox, "i")
        target = found.mailbox
        terms = await _terms(client, command, found, indexes)
        here, there = (view.account, view.mailbox), (target.account, target.id)
        with committing():
            done = await copy_to(house.pool, here, there, uids, terms)
    except NoSuchMailbox as error:
        raise Refusal("No such mailbox", b"TRYCREATE") from error
    if not done.source_uids:
        if uids and not command.is_uid:
            raise Refusal("The messages were expunged", b"EXPUNGEISSUED")
        return Done("nothing to do")
    house.updates.tell(target.account, target.id, done.target_modseq)
    came = range(done.first_uid, done.first_uid + len(done.source_uids))
    own_changes.filed(client, there, came, done.target_modseq)
    if not _has_guest(client, found):
        await house.training.moved((selected.uses, target.uses), there, came)
    code = await aside(len(done.source_uids), _copyuid, done) if "r" in found.rights else b""
    if command.is_move:
        return await _tell_moved(client, done, code)
    if target.id == view.mailbox:
        with after_commit():
            await house.views.refresh(view)
    return Done("COPY done", code)


async def _tell_moved(client: Client, done: Copied, code: bytes) -> Done:
    """Tell what left the selected mailbox; first where it went (RFC 6851 §4.3)."""
    house, view = client.house, client.mailbox().position.view
    if code:
        client.wire.write(untagged(b"OK [%b] Moved" % code))
    house.updates.tell(view.account, view.mailbox, done.source_modseq)
    with after_commit():
        await house.views.expunged(view, done.source_modseq, done.source_uids)
    return Done("MOVE done", _step_code(client, done.source_modseq))


def _read(position: Position, indexes: Sequence[int]) -> set[int]:
    """Return the UIDs of those of these messages that this user has read."""
    rows, _, here = message_rows(position, indexes)
    flags = position.flags_of(rows)
    return {rows.uids[row] for row in here if flags[row] & SEEN}


def _has_guest(client: Client, target: Found) -> bool:
    """Say whether ``Seen`` belongs to a guest on one side."""
    return client.mailbox().owner is not None or target.place.owner is not None


async def _terms(client: Client, command: c.Copy, target: Found, indexes: Sequence[int]) -> Terms:
    r"""Say which flags go along: those that may be set there (RFC 4314 §4).

    Where a guest is on one side, the copies are read for who copies alone, not for whose it was.
    """
    keywords, flags = "w" in target.rights, places.flags_allowed(target.rights)
    if not _has_guest(client, target):
        return Terms(is_move=command.is_move, flags=flags, keywords=keywords)
    many = len(indexes) if "s" in target.rights else 0
    return Terms(
        is_move=command.is_move,
        flags=flags & ~SEEN,
        keywords=keywords,
        read=await aside(many, _read, client.mailbox().position, indexes[:many]),
        reader=client.account if target.place.owner is not None else None,
    )


def _copyuid(done: Copied) -> bytes:
    """``resp-code-copy`` (RFC 4315 §4): for who may read there (RFC 9051 §6.4.7)."""
    last = done.first_uid + len(done.source_uids) - 1
    there = write_set(range(done.first_uid, last + 1))
    return b"COPYUID %d %b %b" % (done.uidvalidity, write_set(done.source_uids), there)


async def expunge_(client: Client, command: c.Expunge) -> Done:
    """EXPUNGE, and UID EXPUNGE of some (RFC 4315 §2.1); what went is told as news."""
    selected = client.writable()
    await places.demand_now(client, "e")
    uids = None
    if command.uids is not None:
        view = selected.position.view
        await client.house.views.refresh(view, max_age=FRESH_SECONDS)
        indexes = await choose(selected.position, command.uids, is_uid=True)
        uids = await aside(len(indexes), selected.position.uids_of, indexes)
    step = await expunge_deleted(client, uids)
    return Done("EXPUNGE done", _step_code(client, step) if step is not None else b"")


def _step_code(client: Client, modseq: int) -> bytes:
    """Return the response code that ends an expunge (RFC 7162 §3.2.7; RFC 6851 §4.4).

    Nothing while the news of it cannot be told.
    """
    is_told = client.mailbox().position.view.modseq >= modseq
    return b"HIGHESTMODSEQ %d" % modseq if client.is_condstore and is_told else b""


HANDLERS: Final[Handlers] = MappingProxyType({
    c.Copy: copy_,
    c.Expunge: expunge_,
})  # fmt: skip
