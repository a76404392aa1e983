"""Removing an account while mail comes in: nothing of it may stay behind."""

from __future__ import annotations

import asyncio

import pytest

from posthouse.storage import directory
from posthouse.storage.filing import file
from posthouse.storage.pool import Pool, transaction
from support.filings import accepted, add_accounts

pytestmark = pytest.mark.integration


async def test_mail_filed_while_its_account_is_removed_leaves_no_row(pool: Pool) -> None:
    accounts = await add_accounts(pool, "anna")
    filings = await accepted(pool, accounts["anna"])
    async with transaction(pool) as filing:
        await file(filing, filings)
        removing = asyncio.create_task(directory.remove_account(pool, "anna@example.test"))
        async with asyncio.timeout(20):
            while not await pool.fetchval("select count(*) from pg_locks where not granted"):
                pass
    await removing

    for table in ("messages", "contents", "changes"):
        assert await pool.fetchval(f"select count(*) from {table}") == 0  # noqa: S608 - ours


_WITHOUT_INDEX = """
    select c.conrelid::regclass::text as name from pg_constraint c
     where c.contype = 'f' and c.confrelid = 'accounts'::regclass
       and not exists (select from pg_index i
                        where i.indrelid = c.conrelid and i.indkey[0] = c.conkey[1])
"""


async def test_whatever_refers_to_an_account_is_found_by_an_index(pool: Pool) -> None:
    assert [row["name"] for row in await pool.fetch(_WITHOUT_INDEX)] == []
