"""The object store: what could go, and letting it go now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.responses import StreamingResponse

from posthouse.mail.errors import Unavailable
from posthouse.storage.pool import duty_lock
from posthouse.telemetry.logs import get_logger
from postmaster.api.fields import Body
from postmaster.api.parts import Means, Parts
from postmaster.duties.collector import walk
from postmaster.duties.names import OBJECTS

router = APIRouter(tags=["store"])
log = get_logger()


class CollectBody(Body):
    """What to do with what nobody needs."""

    dry_run: bool = True


@router.post("/store/collect")
async def collect(body: CollectBody, means: Means) -> StreamingResponse:
    """Remove the objects nobody needs, or count them; one JSON line per step (NDJSON).

    The last line has ``done``, or ``error`` if it was broken off; then it may be begun again.
    """
    return StreamingResponse(_steps(means, dry_run=body.dry_run), media_type="application/x-ndjson")


async def _steps(means: Parts, *, dry_run: bool) -> AsyncIterator[bytes]:
    quarantine = timedelta(days=means.settings.collect_after_days)
    last: dict[str, Any] = {}
    try:
        async with duty_lock(means.pool, OBJECTS) as mine:
            if not (mine or dry_run):
                yield _line({"error": "another collector is at work"})
                return
            async for tally in walk(means.pool, means.blobs, quarantine, dry_run=dry_run):
                last = asdict(tally)
                yield _line(last)
        yield _line({**last, "done": True})
    except Unavailable as outage:
        log.warning("collecting broken off", reason=str(outage), **last)
        yield _line({**last, "error": str(outage)})


def _line(step: dict[str, Any]) -> bytes:
    return orjson.dumps(step) + b"\n"
