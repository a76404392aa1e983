r"""Removing what is ``\Deleted``: in parts, so that nobody waits long for who empties an archive."""

from __future__ import annotations

from collections.abc import Sequence

from imap_gateway.aside import aside
from imap_gateway.client import Client
from imap_gateway.committing import after_commit, committing
from imap_gateway.view.flags import DELETED
from posthouse.storage.messages import expunge

MESSAGES_AT_ONCE = 10_000


async def expunge_deleted(client: Client, uids: Sequence[int] | None) -> int | None:
    r"""Remove the ``\Deleted`` messages of ``uids``, None for all; tell the others.

    Returns the last step that this made, None if nothing was removed. `Unavailable` escapes, and
    some may be removed then.
    """
    house, view = client.house, client.mailbox().position.view
    if uids is None:
        await house.views.refresh(view, whole=True)  # CLOSE may find it dropped from memory
        uids = await aside(len(view.rows), view.rows.uids_with, DELETED)
    step = None
    for start in range(0, len(uids), MESSAGES_AT_ONCE):
        part = uids[start : start + MESSAGES_AT_ONCE]
        with committing(is_partly_done=step is not None):
            done = await expunge(house.pool, view.account, view.mailbox, part)
        if done.uids:
            step = done.modseq
            house.updates.tell(view.account, view.mailbox, step)
            with after_commit():
                await house.views.expunged(view, step, done.uids)
    return step
