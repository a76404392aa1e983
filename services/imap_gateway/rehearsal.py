"""What the first client would wait for, done once before the doors open.

A new connection to PostgreSQL knows no table and has no plan: together as long as the rest of a
login with SELECT. So everything is asked for once, for nobody.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from functools import partial

from posthouse.mail.errors import Unavailable
from posthouse.storage.contents import read_column, read_places, read_start
from posthouse.storage.directory import credentials
from posthouse.storage.mailboxes import INBOX, NoSuchMailbox, claim_recent
from posthouse.storage.pool import Pool
from posthouse.storage.snapshots import changes_since, current_step, find_to_open, load_page

PATIENCE = timedelta(seconds=2)
NOBODY = NOWHERE = NOTHING = 0  # no account, mailbox, message has this number


async def rehearse(pool: Pool) -> None:
    """Ask PostgreSQL what a login, SELECT and FETCH ask; what goes wrong is left for clients to find."""
    with suppress(Unavailable, TimeoutError):
        async with asyncio.timeout(PATIENCE.total_seconds()):
            await _ask_everything(pool)


async def _ask_everything(pool: Pool) -> None:
    await credentials(pool, "")
    for ask in (
        partial(find_to_open, pool, NOBODY, INBOX),
        partial(load_page, pool, NOBODY, NOWHERE),
        partial(current_step, pool, NOBODY, NOWHERE),
        partial(changes_since, pool, NOBODY, NOWHERE, NOTHING, NOTHING),
    ):
        with suppress(NoSuchMailbox):
            await ask()
    await claim_recent(pool, NOBODY, NOWHERE, NOTHING)
    await read_column(pool, NOBODY, "header", [NOTHING])
    await read_start(pool, NOBODY, "envelope", [NOTHING], 1)
    await read_start(pool, NOBODY, "bodystructure", [NOTHING], 1)
    await read_places(pool, NOBODY, [NOTHING])
