"""Held mail: what starts on its way later (RFC 4865): look at it, start it now, or end it."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import APIRouter

from posthouse.storage import ledger
from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger
from postmaster.api.fields import AddressKey, Limit, MessageId, page
from postmaster.api.parts import Means
from postmaster.api.problems import not_found

_ended = metrics.counter(
    "posthouse_postmaster_held_ended_total", "Held mails ended by an operator", "how"
)
_BEFORE_ALL = UUID(int=0)

router = APIRouter(tags=["held mail"])
log = get_logger()


@router.get("/held")
async def list_held(
    means: Means,
    after: MessageId | None = None,
    limit: Limit = 100,
    account: AddressKey | None = None,
) -> dict[str, Any]:
    """Return what is held, oldest first; of one account, or all."""
    found = await ledger.held(means.pool, account or "", after or _BEFORE_ALL, limit)
    return page(found, limit, asdict, lambda one: one.id)


@router.post("/held/{ident}/release", status_code=HTTPStatus.NO_CONTENT)
async def release_held(ident: MessageId, means: Means) -> None:
    """Have the sweeper start a held mail now; 404 if it is not held (any more)."""
    if not await ledger.release_now(means.pool, ident):
        raise not_found("held mail", ident)
    _tell("released", ident)


@router.delete("/held/{ident}", status_code=HTTPStatus.NO_CONTENT)
async def cancel_held(ident: MessageId, means: Means) -> None:
    """End a held mail; its recipients are discarded by a named rule. 404 as above."""
    if not await ledger.cancel(means.pool, ident):
        raise not_found("held mail", ident)
    _tell("cancelled", ident)


def _tell(how: str, ident: UUID) -> None:
    _ended.labels(how).inc()
    log.warning("held mail ended", how=how, envelope=str(ident))
