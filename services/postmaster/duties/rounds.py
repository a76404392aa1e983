"""Work that is done again and again, with a pause, and survives an outage of its means."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from posthouse.mail.errors import Unavailable
from posthouse.storage.pool import Pool, duty_lock
from posthouse.telemetry.outages import Outage
from posthouse.telemetry.probes import Beat


async def rounds(work: Callable[[], Awaitable[object]], pause: timedelta, beat: Beat) -> None:
    """Do ``work`` for ever; an outage makes the service unready and the next round tries again."""
    absence = Outage("duty put off", "duty taken up again", duty=beat.name)
    while True:
        beat.busy()
        try:
            await work()
            beat.release()
        except Unavailable as outage:
            beat.hold(str(outage))
            absence.away(str(outage))
        else:
            absence.over()
            beat.idle()
        await asyncio.sleep(pause.total_seconds())


def alone(
    pool: Pool, duty: str, work: Callable[[], Awaitable[object]]
) -> Callable[[], Awaitable[object]]:
    """Return ``work`` as one pod at a time does it; the others find it taken and pass."""

    async def guarded() -> None:
        async with duty_lock(pool, duty) as mine:
            if mine:
                await work()

    return guarded
