"""Sealers whose word counts: mailing lists and forwarders that change what they pass on (ARC)."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter
from pydantic import AfterValidator

from posthouse.mail.idn import a_labels
from posthouse.storage import sealers as storage
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.fields import Body, Limit, OneLine, domain_name, page
from postmaster.api.parts import Means

router = APIRouter(prefix="/policy/sealers", tags=["sealers"])


def _sealer(text: str) -> str:
    return a_labels(domain_name(text))


Sealer: TypeAlias = Annotated[str, AfterValidator(_sealer)]


class SealerBody(Body):
    """What people are to know of it."""

    note: OneLine = ""


@router.get("")
async def list_sealers(means: Means, after: str = "", limit: Limit = 100) -> dict[str, Any]:
    """Return the sealers that are believed, by domain."""
    return page(
        await storage.sealers(means.pool, after, limit), limit, asdict, lambda one: one.domain
    )


@router.put("/{domain}", status_code=HTTPStatus.NO_CONTENT)
async def trust_sealer(domain: Sealer, body: SealerBody, means: Means, actor: Actor) -> None:
    """Believe a sealer: a failure of DMARC that it vouches for is not acted upon."""
    async with audited(means.pool, actor, "sealer trust", domain, body.note) as tx:
        await storage.put_sealer(tx, domain, body.note)


@router.delete("/{domain}", status_code=HTTPStatus.NO_CONTENT)
async def distrust_sealer(domain: Sealer, means: Means, actor: Actor) -> None:
    """Believe a sealer no more."""
    async with audited(means.pool, actor, "sealer distrust", domain) as tx:
        await storage.remove_sealer(tx, domain)
