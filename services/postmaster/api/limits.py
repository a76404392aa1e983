"""Limits: how much of its rates each client network and account has used, over all pods."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from posthouse.storage import rates
from posthouse.storage.rates import Standing
from postmaster.api.fields import Limit, page
from postmaster.api.parts import Means

MAX_WHO = 320  # characters: the longest address

router = APIRouter(tags=["limits"])


@router.get("/limits")
async def list_limits(
    means: Means,
    who: Annotated[str | None, Query(max_length=MAX_WHO)] = None,
    after: str = "",
    limit: Limit = 100,
) -> dict[str, Any]:
    """Return what is counted now, of everybody or of ``who``: a client's address, an account."""
    what, _, last = after.partition(" ")
    found = await rates.standings(means.pool, (last, what), limit, who=who)
    return page(found, limit, _shown, lambda each: f"{each.what} {each.who}")


@router.delete("/limits/{who:path}")
async def reset_limits(who: str, means: Means) -> dict[str, Any]:
    """Forget what is counted of ``who``; a pod that put it off hears of it at its next attempt.

    That attempt may still be put off, those after the next exchange (1 s) are not. ``removed`` says how
    many counts there were; none is no error.
    """
    return {"removed": await rates.reset(means.pool, who)}


def _shown(each: Standing) -> dict[str, Any]:
    return {
        "who": each.who,
        "what": each.what,
        "count": round(each.count, 1),
        "most": each.most,
        "full": each.is_full,
        "seconds": round(each.seconds, 1),
    }
