"""The keeper of the ledger's partitions: some days ahead, and not older than need be."""

from __future__ import annotations

from posthouse.storage.partitions import drop_old, ensure_partitions
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger

log = get_logger()


async def keep_partitions(pool: Pool, keep_days: int) -> None:
    """Make the coming days' partitions and drop those older than ``keep_days``.

    Raises:
        Unavailable: If PostgreSQL does not answer.
    """
    made = await ensure_partitions(pool)
    dropped = await drop_old(pool, keep_days)
    if made or dropped:
        log.info("partitions kept", made=made, dropped=dropped)
