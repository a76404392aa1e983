"""What waits: on the broker's queues, and in the ledger, which is the truth."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from posthouse.bus.depths import depths
from posthouse.mail.errors import Unavailable
from posthouse.storage.backlog import backlog
from postmaster.api.parts import Means

router = APIRouter(tags=["queues"])


@router.get("/queues")
async def list_queues(means: Means) -> dict[str, Any]:
    """Return ready messages and consumers per queue, and recipients under way per road and state.

    Without the broker the ledger still tells; ``trouble`` says why the queues are missing.
    """
    lines = await backlog(means.pool)
    answer: dict[str, Any] = {
        "queues": [],
        "trouble": "",
        "ledger": [
            {"road": line.road, "state": line.state, "count": line.count, "oldest": line.oldest}
            for line in lines
        ],
    }
    try:
        found = await depths(means.broker)
    except Unavailable as outage:
        answer["trouble"] = str(outage)
        return answer
    answer["queues"] = [
        {"queue": depth.queue, "ready": depth.ready, "consumers": depth.consumers}
        for depth in found
    ]
    return answer
