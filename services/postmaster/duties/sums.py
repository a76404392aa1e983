"""The summer of quotas: what domains and tenants with limits use, once a minute (RFC 9208)."""

from __future__ import annotations

from posthouse.storage.pool import Pool, transaction
from posthouse.storage.quotas import sum_up


async def sum_quotas(pool: Pool) -> None:
    """Sum up; raise `Unavailable` if PostgreSQL does not answer."""
    async with transaction(pool) as tx:
        await sum_up(tx)
