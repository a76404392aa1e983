"""VANISHED (EARLIER): what was expunged while a client was away (RFC 7162 §3.2.6, §3.2.10.1).

The history of the mailbox (`changes`) names what was expunged since a step. Where it was pruned
all that is not there is named: more than asked for, never less.
"""

from __future__ import annotations

from collections.abc import Sequence

from imap_gateway.aside import aside
from imap_gateway.client import Client
from imap_gateway.errors import Misuse
from imap_gateway.protocol.resync_grammar import Resync
from imap_gateway.protocol.sequences import SequenceSet
from imap_gateway.telling import RANGES_AT_ONCE
from imap_gateway.view.position import Position
from imap_gateway.view.vanished import Range, above, among, missing, written
from posthouse.storage.snapshots import expunged_between

FIRST_STEP = 1  # of every mailbox: nothing was there, so nothing went


def demand_qresync(client: Client, asked: Resync | None = None) -> None:
    """Raise `Misuse` if ENABLE QRESYNC was not said (RFC 7162 §3.2.3)."""
    if not client.is_qresync:
        raise Misuse("QRESYNC was not enabled")
    if client.is_uidonly and asked is not None and asked.numbers.ranges:
        raise Misuse("Only UIDs are in use", b"UIDREQUIRED")


async def tell_vanished(client: Client, known: SequenceSet, since: int, floor: int = 0) -> None:
    """Write VANISHED (EARLIER) for those of ``known`` that were expunged after the step ``since``.

    Nothing up to the UID ``floor`` is told, nor what the client still counts: that comes as news.
    """
    position = client.mailbox().position
    last = position.uidnext - 1
    wanted = above(known.resolve(last), floor, last)
    ranges = await _vanished(client, position, wanted, since) if wanted else []
    for start in range(0, len(ranges), RANGES_AT_ONCE):
        part = written(ranges[start : start + RANGES_AT_ONCE])
        client.wire.write(b"* VANISHED (EARLIER) %b\r\n" % part)
        await client.wire.drain()


async def _vanished(
    client: Client, position: Position, wanted: Sequence[Range], since: int
) -> list[Range]:
    view, since = position.view, max(since, FIRST_STEP)
    gone = await expunged_between(
        client.house.pool, view.account, view.mailbox, since, position.step
    )
    if gone is None:
        return await aside(position.count, missing, position.uids, wanted)
    return await aside(len(gone), among, gone, wanted)
