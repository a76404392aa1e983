"""A duty whose means are away is told once, not at every round."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from structlog.testing import capture_logs

from posthouse.mail.errors import Unavailable
from posthouse.telemetry.probes import Beat
from postmaster.duties.rounds import rounds


async def test_an_outage_over_many_rounds_is_one_line_and_its_end_another() -> None:
    done, tried = asyncio.Event(), 0

    async def work() -> None:
        nonlocal tried
        tried += 1
        if tried <= 5:
            raise Unavailable("storage is not available", detail="PostgreSQL: gone")
        if tried > 6:
            done.set()

    with capture_logs() as lines:
        beat = Beat("sweeper", timedelta(minutes=1))
        task = asyncio.create_task(rounds(work, timedelta(milliseconds=1), beat))
        await done.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert [(line["event"], line["duty"]) for line in lines] == [
        ("duty put off", "sweeper"),
        ("duty taken up again", "sweeper"),
    ]
    assert lines[0]["reason"] == "PostgreSQL: gone"
