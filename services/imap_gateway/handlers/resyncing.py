"""What a client missed of a mailbox while it was away, told as it opens it (RFC 7162 §3.2.5)."""

from __future__ import annotations

from imap_gateway.client import Client
from imap_gateway.handlers.fetching import plan_of, send_changed
from imap_gateway.protocol.items import Item
from imap_gateway.protocol.resync_grammar import Resync
from imap_gateway.protocol.sequences import SequenceSet
from imap_gateway.vanishing import tell_vanished
from imap_gateway.view.vanished import last_match

_PLAN = plan_of((Item.UID, Item.FLAGS, Item.MODSEQ), True, True)  # noqa: FBT003
_UIDONLY_PLAN = plan_of((Item.FLAGS, Item.MODSEQ), False, True)  # noqa: FBT003


async def resync(client: Client, asked: Resync) -> None:
    """Tell what was expunged and whose flags changed since the client was last here."""
    position = client.mailbox().position
    plan = _UIDONLY_PLAN if client.is_uidonly else _PLAN
    if asked.uidvalidity != position.view.uidvalidity:
        return  # another mailbox: nothing that the client knows is true of it
    floor = last_match(position.uids, asked.numbers.ranges, asked.uids.ranges)
    known = asked.known or SequenceSet(((1, max(position.uidnext - 1, 1)),))
    await tell_vanished(client, known, asked.modseq, floor)
    indexes = known.indexes_of_uids(position.uids)
    await send_changed(client, plan, indexes, asked.modseq)
