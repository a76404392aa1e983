"""DMARC: what was counted for others, what was sent to them, and what others reported to us."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query

from posthouse.storage.dmarc_results import DMARC_DAYS, DmarcResult, Key, list_dmarc_results
from posthouse.storage.received_reports import DMARC_RECEIVED
from postmaster.api.fields import DomainName, Limit, page
from postmaster.api.parts import Means
from postmaster.api.problems import invalid
from postmaster.api.report_days import NO_KEY, ReceivedQuery, day_of, received_page, sent_page

router = APIRouter(prefix="/dmarc", tags=["dmarc"])

_BEGINNING = UUID(int=0)
_KEY_PARTS = 3


@router.get("/reports")
async def list_reports(asked: Annotated[ReceivedQuery, Query()], means: Means) -> dict[str, Any]:
    """Return what others reported on mail that said it was of our domains; ``rows``: by source."""
    return await received_page(
        means, DMARC_RECEIVED, asked, lambda report: {"messages": report.total}
    )


@router.get("/results")
async def list_results(
    means: Means,
    domain: DomainName | None = None,
    day: date | None = None,
    after: str = "",
    limit: Limit = 100,
) -> dict[str, Any]:
    """Return what was counted of mail from outside, by UTC day and policy domain."""
    found = await list_dmarc_results(means.pool, _key(after), limit, domain, day)
    return page(found, limit, _result, lambda result: "|".join(map(str, result.key)))


@router.get("/sent")
async def list_sent(
    means: Means, domain: DomainName | None = None, after: str = "", limit: Limit = 100
) -> dict[str, Any]:
    """Return what became of our reports to others."""
    return await sent_page(means, DMARC_DAYS, domain, after, limit)


def _key(after: str) -> Key:
    if not after:
        return (date.min, "", _BEGINNING)
    day, domain, key = [*after.split("|"), "", ""][:_KEY_PARTS]
    try:
        return (day_of(day), domain, UUID(key))
    except ValueError as wrong:
        raise invalid(NO_KEY) from wrong


def _result(result: DmarcResult) -> dict[str, Any]:
    facts = {name: getattr(result.facts, name) for name in result.facts.__struct_fields__}
    facts["signatures"] = [msgspec.structs.asdict(each) for each in result.facts.signatures]
    return {"day": result.day, "domain": result.domain, "messages": result.messages, **facts}
