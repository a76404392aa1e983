"""STATUS, alone and of every mailbox of a LIST (RFC 3501 §6.3.10, RFC 5819, RFC 8438)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from imap_gateway import places
from imap_gateway.client import Client, Done, Handlers
from imap_gateway.protocol import responses
from imap_gateway.protocol.listing import Status, StatusItem
from posthouse.storage.counting import FlagCounts, count_flags, count_recent
from posthouse.storage.mailboxes import Mailbox
from posthouse.storage.seen import count_unseen

_COUNTED = {StatusItem.UNSEEN, StatusItem.DELETED, StatusItem.DELETED_STORAGE}


async def status(client: Client, command: Status) -> Done:
    """STATUS needs the right ``r`` (RFC 4314 §4)."""
    found = await places.find(client, command.mailbox, "r")
    [values] = await status_values(client, [found.mailbox], command.items)
    client.wire.write(status_line(client.shown(command.mailbox), values))
    return Done("STATUS done")


async def status_values(
    client: Client, mailboxes: Sequence[Mailbox], items: Sequence[StatusItem]
) -> list[Mapping[StatusItem, bytes]]:
    """Return what STATUS tells of each of these mailboxes."""
    pool = client.house.pool
    if StatusItem.HIGHESTMODSEQ in items:
        client.enable(b"CONDSTORE")  # RFC 7162 §3.1: an enabling command
    counted: dict[int, FlagCounts] = {}
    if _COUNTED & set(items):
        for account in {box.account for box in mailboxes}:
            own = [box.id for box in mailboxes if box.account == account and box.exists]
            counted |= await flag_counts(client, account, own)
    found: list[Mapping[StatusItem, bytes]] = []
    for box in mailboxes:
        recent = 0
        if StatusItem.RECENT in items and box.recent_uid < box.uidnext:
            recent = await count_recent(pool, box)
        values = _values(client, box, counted.get(box.id, FlagCounts()), recent)
        found.append({item: values[item] for item in items})
    return found


async def flag_counts(
    client: Client, account: int, mailboxes: Sequence[int]
) -> dict[int, FlagCounts]:
    r"""Return the counts of mailboxes of one account; ``\Seen`` of a guest is its own."""
    pool = client.house.pool
    counted = await count_flags(pool, account, mailboxes)
    if account == client.account:
        return counted
    unseen = await count_unseen(pool, account, mailboxes, client.account)
    return {box: replace(counts, unseen=unseen.get(box, 0)) for box, counts in counted.items()}


def _values(
    client: Client, box: Mailbox, counts: FlagCounts, recent: int
) -> dict[StatusItem, bytes]:
    numbers = {
        StatusItem.MESSAGES: box.exists,
        StatusItem.RECENT: recent,
        StatusItem.UIDNEXT: box.uidnext,
        StatusItem.UIDVALIDITY: box.uidvalidity,
        StatusItem.UNSEEN: counts.unseen,
        StatusItem.HIGHESTMODSEQ: box.modseq,
        StatusItem.SIZE: box.octets,
        StatusItem.DELETED: counts.deleted,
        StatusItem.DELETED_STORAGE: counts.deleted_octets,
        StatusItem.APPENDLIMIT: client.house.limits.message_octets,
    }
    told = {item: b"%d" % number for item, number in numbers.items()}
    return told | {StatusItem.MAILBOXID: b"(%b)" % box.object_id.encode()}


def status_line(name: bytes, values: Mapping[StatusItem, bytes]) -> bytes:
    """Return the STATUS response."""
    told = b" ".join(b"%b %b" % (item.value, value) for item, value in values.items())
    return responses.untagged(b"STATUS %b (%b)" % (name, told))


HANDLERS: Final[Handlers] = MappingProxyType({
    Status: status,
})  # fmt: skip
