"""The schema at start: the postmaster applies it, the other services wait for it."""

from __future__ import annotations

import asyncio
import contextlib

from posthouse.mail.errors import Unavailable
from posthouse.runtime.service import Lifecycle
from posthouse.storage.migrate import migrate
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0

log = get_logger()


async def bring_schema(pool: Pool, lifecycle: Lifecycle) -> bool:
    """Apply the migrations as soon as PostgreSQL answers; False if we are stopped meanwhile.

    Raises:
        SchemaConflict: If the database was made from other files; only a human can help.
    """
    beat, pause = lifecycle.probes.progress("schema"), FIRST_PAUSE_SECONDS
    while not lifecycle.stopping.is_set():
        try:
            applied = await migrate(pool)
        except Unavailable as outage:
            beat.hold(str(outage))
            log.warning("schema waits for the database", reason=str(outage))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await lifecycle.stopping.wait()
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        else:
            if applied:
                log.info("schema migrated", applied=applied)
            lifecycle.probes.forget("schema")
            return True
    return False
