"""From where mail leaves: addresses in pools, and whose mail uses which."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from posthouse.mail.sources import Source, SourceUse
from posthouse.storage.directory import sources as directory
from posthouse.storage.rates import standings
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.fields import Body
from postmaster.api.parts import Means

MAX_TEXT = 320  # characters

router = APIRouter(tags=["sources"])

Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class SourceBody(Body):
    """An address: its pool, its name in EHLO, and how it is warmed up.

    ``warm_up`` are recipients on its first day, its second and so on, ``since`` is that first day (UTC),
    today if it is not given.
    """

    pool: Text
    hostname: Text
    warm_up: Annotated[
        tuple[Annotated[int, Field(ge=1, le=directory.MAX_BUDGET)], ...],
        Field(max_length=directory.MAX_WARM_UP_DAYS),
    ] = ()
    since: date | None = None


class UseBody(Body):
    """Which pool mail of a sender to a domain leaves from; both are patterns, ``*`` for all."""

    pool: Text
    sender: Text = "*"
    domain: Text = "*"


@router.get("/sources")
async def list_sources(means: Means) -> dict[str, Any]:
    """Return all addresses, with today's budget; they are few."""
    found = await directory.sources(means.pool)
    today = _today()
    full = await _full(means, (each for each in found if each.budget(today)))
    return {"items": [_source(each, today, each.key in full) for each in found], "next": None}


@router.put("/sources/{address}", status_code=HTTPStatus.NO_CONTENT)
async def set_source(address: str, body: SourceBody, means: Means, actor: Actor) -> None:
    """Add an address, or replace what is said of it."""
    source = Source(
        address=address,
        pool=body.pool,
        hostname=body.hostname,
        warm_up=body.warm_up,
        since=body.since or _today(),
    )
    async with audited(means.pool, actor, "source add", address, _words(source)) as tx:
        await directory.set_source(tx, source)


@router.delete("/sources/{address}", status_code=HTTPStatus.NO_CONTENT)
async def remove_source(address: str, means: Means, actor: Actor) -> None:
    """Let nothing leave from an address any more; 409 if its pool would be empty and is used."""
    async with audited(means.pool, actor, "source remove", address) as tx:
        await directory.remove_source(tx, address)


@router.get("/source-uses")
async def list_uses(means: Means) -> dict[str, Any]:
    """Return whose mail leaves from which pool; the entries are few."""
    return {"items": [_use(each) for each in await directory.source_uses(means.pool)], "next": None}


@router.put("/source-uses", status_code=HTTPStatus.NO_CONTENT)
async def set_use(body: UseBody, means: Means, actor: Actor) -> None:
    """Let some mail leave from a pool; ``none`` is whatever the machine chooses."""
    use = SourceUse(sender=body.sender, domain=body.domain, pool=body.pool)
    async with audited(
        means.pool, actor, "source use", _whose(use.sender, use.domain), use.pool
    ) as tx:
        await directory.set_source_use(tx, use)


@router.delete("/source-uses", status_code=HTTPStatus.NO_CONTENT)
async def remove_use(means: Means, actor: Actor, sender: str = "*", domain: str = "*") -> None:
    """Choose no pool for that mail any more."""
    async with audited(means.pool, actor, "source unuse", _whose(sender, domain)) as tx:
        await directory.remove_source_use(tx, sender, domain)


def _words(source: Source) -> str:
    """Return what is said of an address as one would type it."""
    warm_up = ",".join(map(str, source.warm_up))
    begun = f" --warm-up {warm_up} --since {source.since}" if warm_up else ""
    return f"{source.pool} {source.hostname}{begun}"


def _whose(sender: str, domain: str) -> str:
    return f"--sender {sender} --domain {domain}"


def _today() -> date:
    return datetime.now(UTC).date()


async def _full(means: Means, warming: Iterable[Source]) -> set[str]:
    """Return the keys of addresses that may send nothing more at this moment."""
    found = [await standings(means.pool, ("", ""), 1, who=each.key) for each in warming]
    return {each.who for several in found for each in several if each.is_full}


def _source(source: Source, today: date, full: bool) -> dict[str, Any]:  # noqa: FBT001 - a column
    return {
        "address": source.address,
        "pool": source.pool,
        "hostname": source.hostname,
        "warm_up": list(source.warm_up),
        "since": source.since,
        "budget": source.budget(today),
        "full": full,
    }


def _use(use: SourceUse) -> dict[str, Any]:
    return {"sender": use.sender, "domain": use.domain, "pool": use.pool}
