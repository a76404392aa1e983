"""What the first client would wait for, done once before the doors open.

A new connection to PostgreSQL knows no table and has no plan: together as long as the rest of a
login with SELECT. So everything is asked for once, for nobody, on two of them: a login asks two
things at once, and whoever comes next is lent either.
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
from posthouse.storage.pool import Pool, Queries
from posthouse.storage.snapshots import changes_since, current_step, find_to_open, load_page

PATIENCE = timedelta(seconds=2)
NOBODY = NOWHERE = NOTHING = 0  # no account, mailbox, message has this number


async def rehearse(pool: Pool) -> None:
    """Ask PostgreSQL what a login, SELECT and FETCH ask; what goes wrong is left for clients to find."""
    with suppress(Unavailable, TimeoutError):
        async with asyncio.timeout(PATIENCE.total_seconds()):
            async with pool.session() as one, pool.session() as other:
                await _ask_everything(one)
                await _ask_everything(other)


async def _ask_everything(queries: Queries) -> None:
    await credentials(queries, "")
    for ask in (
        partial(find_to_open, queries, NOBODY, INBOX),
        partial(load_page, queries, NOBODY, NOWHERE),
        partial(current_step, queries, NOBODY, NOWHERE),
        partial(changes_since, queries, NOBODY, NOWHERE, NOTHING, NOTHING),
    ):
        with suppress(NoSuchMailbox):
            await ask()
    await claim_recent(queries, NOBODY, NOWHERE, NOTHING)
    await read_column(queries, NOBODY, "header", [NOTHING])
    await read_start(queries, NOBODY, "envelope", [NOTHING], 1)
    await read_start(queries, NOBODY, "bodystructure", [NOTHING], 1)
    await read_places(queries, NOBODY, [NOTHING])
