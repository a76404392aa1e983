"""The schema at start: the postmaster applies it, the other services wait for it."""

from __future__ import annotations

import asyncio

from posthouse.mail.errors import Unavailable
from posthouse.storage.migrate import migrate
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0

log = get_logger()


async def bring_schema(pool: Pool) -> None:
    """Apply the migrations as soon as PostgreSQL answers.

    Raises:
        SchemaConflict: If the database was made from other files; only a human can help.
    """
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            applied = await migrate(pool)
        except Unavailable as outage:
            log.warning("schema waits for the database", reason=str(outage))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        else:
            if applied:
                log.info("schema migrated", applied=applied)
            return
