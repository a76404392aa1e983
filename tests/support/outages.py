"""Outages that tests make: a database that takes no connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from posthouse.storage.pool import Pool
from support.servers import needed


@asynccontextmanager
async def closed_database(pool: Pool) -> AsyncIterator[None]:
    """Close the database of ``pool`` to all connections, those that there are included."""
    name = await pool.fetchval("select current_database()")
    admin = await asyncpg.connect(needed("POSTHOUSE_TEST_POSTGRES"))
    try:
        await admin.execute(f"alter database {name} allow_connections false")
        await admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name
        )
        yield
    finally:
        await admin.execute(f"alter database {name} allow_connections true")
        await admin.close()
