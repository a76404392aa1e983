"""The suppression list: who gets nothing any more, and from whom."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from posthouse.storage import suppressing
from posthouse.storage.suppressing import EVERYBODY
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.fields import AddressKey, Body, Limit, page
from postmaster.api.parts import Means
from postmaster.api.senders import whose

BETWEEN = "\t"  # the two halves of a page's key; stands in no address
MAX_DAYS = 36_500
MAX_NOTE_CHARACTERS = 500

router = APIRouter(tags=["suppressions"])


def _scope(text: str) -> str:
    return text if text == EVERYBODY else whose(text)


Scope: TypeAlias = Annotated[str, AfterValidator(_scope)]


class SuppressionBody(Body):
    """Why, and for how many days; without, for ever."""

    note: Annotated[str, Field(max_length=MAX_NOTE_CHARACTERS)] = ""
    days: Annotated[int | None, Field(ge=1, le=MAX_DAYS)] = None


@router.get("/suppressions")
async def list_suppressions(
    means: Means,
    after: str = "",
    limit: Limit = 100,
    address: AddressKey | None = None,
    whose: Scope | None = None,
) -> dict[str, Any]:
    """Return those that hold, by address; of one address, of one sender, or all."""
    at = after.partition(BETWEEN)
    found = await suppressing.suppressions(
        means.pool, (at[0], at[2]), limit, address=address, whose=whose
    )
    return page(found, limit, asdict, lambda one: f"{one.address}{BETWEEN}{one.whose}")


@router.put("/suppressions/{address}/{whose}", status_code=HTTPStatus.NO_CONTENT)
async def suppress(
    address: AddressKey, whose: Scope, body: SuppressionBody, means: Means, actor: Actor
) -> None:
    """Put an address on the list for a domain's mail, an account's, or everybody's (``*``)."""
    lasts = timedelta(days=body.days) if body.days else None
    async with audited(
        means.pool, actor, "suppression add", f"{address} for {whose}", body.note
    ) as tx:
        await suppressing.suppress(tx, address, whose, body.note, lasts)


@router.delete("/suppressions/{address}/{whose}", status_code=HTTPStatus.NO_CONTENT)
async def release(address: AddressKey, whose: Scope, means: Means, actor: Actor) -> None:
    """Take an address off the list, and forget the bounces that led there; 404 if it is not on it."""
    async with audited(means.pool, actor, "suppression remove", f"{address} for {whose}") as tx:
        await suppressing.release(tx, address, whose)
