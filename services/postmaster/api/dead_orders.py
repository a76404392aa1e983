"""Dead letters on their way again: back on their road, by another next hop, to their senders; or ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

import orjson
from fastapi import APIRouter
from pydantic import Field
from starlette.responses import StreamingResponse

from posthouse.mail.errors import Unavailable
from posthouse.storage.dead_letters import survey
from posthouse.telemetry.logs import get_logger
from postmaster.api.actor import Actor
from postmaster.api.dead_letters import Which
from postmaster.api.fields import Hop, OneLine
from postmaster.api.parts import Means, Parts
from postmaster.dead_orders import carry_out
from postmaster.dead_turns import Desk, Order
from postmaster.deadletters import Verb
from postmaster.settings import MAX_REPLAY_RATE

MAX_WATCH_SECONDS = 600

router = APIRouter(tags=["dead letters"])
log = get_logger()


class Sending(Which):
    """Which letters, and how they go.

    ``limit`` is the most letters (1 sends a canary), ``rate`` how many go in a second, ``watch`` how
    many seconds it is waited at the end whether some come back.
    """

    limit: Annotated[int, Field(ge=1)] | None = None
    rate: Annotated[float, Field(gt=0, le=MAX_REPLAY_RATE)] | None = None
    watch: Annotated[float, Field(ge=0, le=MAX_WATCH_SECONDS)] = 5.0


class Reroute(Sending):
    """Also by which next hop, ``usual`` for the way that mail goes by itself."""

    to: Hop


class Bounce(Sending):
    """Also what their senders are told."""

    text: Annotated[OneLine, Field(min_length=1)]


class Discard(Which):
    """Which letters end, ``limit`` of them at most, and why: ``note`` is kept with them."""

    limit: Annotated[int, Field(ge=1)] | None = None
    note: OneLine = ""


@router.post("/dead-letters/replay")
async def replay(what: Sending, means: Means, actor: Actor) -> StreamingResponse:
    """Put waiting letters back on their road as the ledger says; one JSON line per step (NDJSON).

    With ``dry_run`` the only line says how many it would concern. Otherwise the last line has
    ``done``; or ``stopped``, if letters of the same fingerprint came back; or ``error``, if an
    outage broke it off; then it is begun again. ``kept`` tells which letters stay and why.
    """
    return _answer(means, what, _order(means, "replay", what, actor))


@router.post("/dead-letters/reroute")
async def reroute(what: Reroute, means: Means, actor: Actor) -> StreamingResponse:
    """Send letters of the road ``mail.remote`` by another next hop; the answer is as of a replay."""
    return _answer(means, what, _order(means, "reroute", what, actor, what.to))


@router.post("/dead-letters/bounce")
async def bounce(what: Bounce, means: Means, actor: Actor) -> StreamingResponse:
    """Return letters to their senders with ``text``; the answer is as of a replay."""
    return _answer(means, what, _order(means, "bounce", what, actor, what.text))


@router.post("/dead-letters/discard")
async def discard(what: Discard, means: Means, actor: Actor) -> StreamingResponse:
    """End letters without delivery; what lies dead of them is discarded by a named rule.

    The answer is as of a replay.
    """
    sending = Sending(**what.model_dump(exclude={"note"}), rate=MAX_REPLAY_RATE, watch=0.0)
    return _answer(means, sending, _order(means, "discard", sending, actor, what.note))


def _order(means: Parts, verb: Verb, what: Sending, actor: str, text: str = "") -> Order:
    return Order(
        verb=verb,
        choice=what.choice(),
        words=what.words() or "--all",
        actor=actor,
        text=text,
        limit=what.limit,
        rate=what.rate or means.settings.replay_rate,
        watch=what.watch,
    )


def _answer(means: Parts, what: Sending, order: Order) -> StreamingResponse:
    return StreamingResponse(
        _preview(means, order) if what.dry_run else _steps(means, order),
        media_type="application/x-ndjson",
    )


async def _preview(means: Parts, order: Order) -> AsyncIterator[bytes]:
    found = (await survey(means.pool, order.choice)).found
    line = {"found": min(found, order.limit or found), "changed": 0, "dry_run": True, "done": True}
    yield orjson.dumps(line) + b"\n"


async def _steps(means: Parts, order: Order) -> AsyncIterator[bytes]:
    line: dict[str, Any] = {}
    desk = Desk(pool=means.pool, publisher=means.publisher, reporter=means.reporter)
    try:
        async for progress in carry_out(desk, order):
            line = asdict(progress)
            yield orjson.dumps(line) + b"\n"
            line["kept"] = []  # each is told once
        if not line["stopped"]:
            yield orjson.dumps({**line, "done": True}) + b"\n"
    except Unavailable as outage:
        log.warning("order on dead letters broken off", reason=str(outage), **line)
        yield orjson.dumps({**line, "error": str(outage)}) + b"\n"
