"""The first client finds connections and plans ready, and no gateway waits for them for long."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from imap_gateway import rehearsal
from imap_gateway.rehearsal import rehearse
from posthouse.storage import contents, snapshots
from posthouse.storage.pool import Pool, transaction

pytestmark = pytest.mark.integration

_PREPARED = "select statement from pg_prepared_statements"


async def test_what_select_and_fetch_ask_is_prepared_before(pool: Pool) -> None:
    await rehearse(pool)

    async with pool.session() as one, pool.session() as other:
        for session in (one, other):
            known = {row["statement"] for row in await session.fetch(_PREPARED)}
            assert known >= {
                snapshots._FIND_TO_OPEN,
                snapshots._LOAD,
                snapshots._STEP,
                snapshots._SINCE,
                contents._PLACES,
            }


async def test_a_mailbox_table_that_is_locked_holds_up_no_gateway(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "PATIENCE", timedelta(seconds=0.2))

    async with transaction(pool) as tx, asyncio.timeout(10):
        await tx.execute("lock table mailboxes in access exclusive mode")
        await rehearse(pool)
