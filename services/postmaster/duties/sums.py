"""The summer of quotas: looks whether what domains and tenants use was counted right (RFC 9208)."""

from __future__ import annotations

from posthouse.storage.pool import Pool
from posthouse.storage.quotas import recount


async def sum_quotas(pool: Pool) -> None:
    """Sum up and correct; raise `Unavailable` if PostgreSQL does not answer."""
    await recount(pool)
