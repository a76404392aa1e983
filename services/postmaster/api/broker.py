"""The broker: are its roads as planned, and how they come back."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.responses import StreamingResponse

from posthouse.bus.check import check
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger
from postmaster.api.parts import Means, Parts
from postmaster.rebuild import rebuild

router = APIRouter(tags=["broker"])
log = get_logger()


@router.get("/broker/check")
async def check_broker(means: Means) -> dict[str, Any]:
    """Return what is missing or different; nothing is changed."""
    findings = await check(means.settings.broker_url.get_secret_value())
    return {"findings": [{"name": f.name, "problem": f.problem} for f in findings]}


@router.post("/broker/rebuild")
async def rebuild_broker(means: Means) -> StreamingResponse:
    """Declare the roads and publish what is under way; one JSON line per step (NDJSON).

    The last line has ``done``, or ``error`` if an outage broke it off; then it is begun again.
    """
    return StreamingResponse(_steps(means), media_type="application/x-ndjson")


async def _steps(means: Parts) -> AsyncIterator[bytes]:
    began, published = time.monotonic(), 0
    try:
        async for published in rebuild(means.pool, means.broker, means.publisher):
            yield _line({"published": published})
        seconds = time.monotonic() - began
        yield _line({"published": published, "seconds": round(seconds, 3), "done": True})
    except Unavailable as outage:
        log.warning("rebuild broken off", envelopes=published, reason=str(outage))
        yield _line({"published": published, "error": str(outage)})


def _line(step: dict[str, Any]) -> bytes:
    return orjson.dumps(step) + b"\n"
