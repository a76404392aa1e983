"""In the ordinary course the ledger's updates touch no index, and its statements use one.

Measured on the server's own counters: a change that ends heap-only updates, or a plan that looks
through a day's partition, fails here.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from posthouse.mail.outcome import Relayed
from posthouse.storage.ledger import (
    Branch,
    Kept,
    Settlement,
    enter,
    published,
    routed,
    settle_many,
)
from posthouse.storage.ledger.publishing import claim_unpublished
from posthouse.storage.pool import Pool, Row, open_pool
from posthouse.storage.trace import find
from support.ledger import a_mail

pytestmark = pytest.mark.integration

MAILS, BATCH = 1000, 50
HEAP_ONLY_SHARE = 0.8  # all of them on a quiet server; an index touched by design: half or none

_COUNTERS = """
    select sum(n_tup_upd)::int as updated, sum(n_tup_hot_upd)::int as heap_only,
           sum(seq_scan)::int as scans
      from pg_stat_user_tables where relname like $1
"""


_OTHERS = """
    select count(*) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid()
       and backend_type = 'client backend'
"""


async def counters(pool: Pool, tables: str) -> Row:
    async with asyncio.timeout(20):
        while await pool.fetchval(_OTHERS):
            pass
    return await pool.fetchrow(_COUNTERS, tables)


async def ordinary_course(url: str, mails: int) -> None:
    """Accept, route and settle mail to one recipient each, in batches.

    The session ends with it, because it brings its counters in when it ends.
    """
    to = Branch(road="remote", address="x@far.test", domain="far.test")
    relayed = Relayed(n=0, host="mx.far.test [192.0.2.1]", reply="250 2.0.0 queued")
    async with open_pool(url) as pool:
        for _ in range(mails // BATCH):
            batch = [a_mail("x@far.test") for _ in range(BATCH)]
            await enter(pool, batch)
            await published(pool, [mail.id for mail in batch])
            await routed(pool, [(mail.id, Kept(0, to)) for mail in batch])
            await settle_many(
                pool, [Settlement(id=mail.id, outcomes=(relayed,), attempts=1) for mail in batch]
            )


async def test_routing_and_settling_stay_heap_only(pool: Pool, postgres_url: str) -> None:
    await ordinary_course(postgres_url, MAILS)

    found = await counters(pool, "recipients_%")

    assert found["updated"] == 2 * MAILS
    assert found["heap_only"] / found["updated"] >= HEAP_ONLY_SHARE


async def test_no_statement_looks_through_a_table(pool: Pool, postgres_url: str) -> None:
    tables = ("recipients%", "envelopes%", "unpublished")
    before = [await counters(pool, table) for table in tables]

    await ordinary_course(postgres_url, 200)
    async with open_pool(postgres_url) as other:
        await enter(other, [a_mail(), a_mail()])
        assert len(await claim_unpublished(other, timedelta(0), 10)) == 2
        assert len(await find(other, sender="carl@far.test")) == 50
        assert len(await find(other, recipient="x@far.test")) == 50
        assert await find(other, message_id="<nobody@far.test>") == ()

    after = [await counters(pool, table) for table in tables]
    assert sum(row["updated"] for row in after) > sum(row["updated"] for row in before)
    assert [row["scans"] for row in after] == [row["scans"] for row in before]
