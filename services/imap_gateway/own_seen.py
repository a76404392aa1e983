r"""``\Seen`` of a guest: read when the mailbox has moved on, changed apart from the owner's."""

from __future__ import annotations

from collections.abc import Sequence

from imap_gateway.client import Client
from imap_gateway.committing import after_commit, committing
from imap_gateway.view.position import Position
from imap_gateway.view.reading import ReaderFlags
from posthouse.storage.messages import Stored
from posthouse.storage.seen import read_seen, store_seen


async def know_own_seen(client: Client, position: Position) -> None:
    """Bring what this guest has read in a mailbox up to date; nothing for an owner."""
    view = position.view
    if view.account == client.account:
        return
    seen = position.seen = position.seen or ReaderFlags()
    if seen.step < view.modseq:
        reading = await read_seen(client.house.pool, (view.account, view.mailbox), client.account)
        seen.know(reading.modseq, reading.ranges)


async def change_own_seen(
    client: Client,
    uids: Sequence[int],
    *,
    on: bool,
    unchanged_since: int | None = None,
    tells_itself: bool = True,
) -> Stored:
    r"""Set or clear ``\Seen`` of messages of the selected mailbox for this guest alone."""
    house, position = client.house, client.mailbox().position
    view = position.view
    with committing():
        done = await store_seen(
            house.pool, (view.account, view.mailbox), client.account, uids,
            on=on, unchanged_since=unchanged_since,
        )  # fmt: skip
    if done.changed:
        house.updates.tell(view.account, view.mailbox, done.modseq)
        with after_commit():
            await house.views.flags_changed(view, done.modseq, done.changed)
            await know_own_seen(client, position)
            if tells_itself:
                position.tells_itself(done.modseq)
    return done
