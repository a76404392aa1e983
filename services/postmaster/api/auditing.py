"""The audit: who decided what, when, and of how many."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from posthouse.storage import audit
from postmaster.api.fields import Limit, Number, page
from postmaster.api.parts import Means

router = APIRouter(tags=["audit"])


@router.get("/audit")
async def list_audit(means: Means, after: Number = 0, limit: Limit = 100) -> dict[str, Any]:
    """Return what was decided, the newest first; ``after`` leads to older entries."""
    found = await audit.entries(means.pool, after, limit)
    return page(found, limit, asdict, lambda entry: entry.id)
