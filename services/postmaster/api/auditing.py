"""The audit: who decided what, when, and of how many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from posthouse.storage import audit
from posthouse.storage.pool import Pool, Tx, transaction
from postmaster.api.fields import Limit, Number, page
from postmaster.api.parts import Means

router = APIRouter(tags=["audit"])


@router.get("/audit")
async def list_audit(means: Means, after: Number = 0, limit: Limit = 100) -> dict[str, Any]:
    """Return what was decided, the newest first; ``after`` leads to older entries."""
    found = await audit.entries(means.pool, after, limit)
    return page(found, limit, asdict, lambda entry: entry.id)


@asynccontextmanager
async def audited(
    pool: Pool, actor: str, action: str, chosen: str, detail: str = ""
) -> AsyncIterator[Tx]:
    """Yield the transaction of one change, which stands in the audit once it is committed."""
    intent = audit.Intent(actor=actor, action=action, chosen=chosen, detail=detail, found=1)
    async with transaction(pool) as tx:
        number = await audit.begin(tx, intent)
        yield tx
        await audit.count(tx, number, changed=1)
        await audit.end(tx, number)
