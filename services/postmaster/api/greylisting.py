"""Greylisting: in which domains, who waits, who is known."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import APIRouter

from posthouse.mail.access_keys import key_of
from posthouse.storage import greylisting
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.fields import AddressKey, Body, DomainName, Limit, page
from postmaster.api.parts import Means
from postmaster.api.problems import invalid
from postmaster.api.suppressions import BETWEEN

FIRST = UUID(int=0)

router = APIRouter(tags=["greylisting"])


class GreylistingBody(Body):
    """Whether mail to a domain is greylisted."""

    enabled: bool


@router.get("/policy/greylist")
async def list_greylist(
    means: Means, after: str = "", limit: Limit = 100, recipient: AddressKey | None = None
) -> dict[str, Any]:
    """Return who waits and who has passed, by recipient; of one recipient, or of all."""
    at, _, number = after.partition(BETWEEN)
    try:
        key = UUID(number) if number else FIRST
    except ValueError as fault:
        raise invalid(f"{after} is no place in this list.") from fault
    found = await greylisting.greylisted(means.pool, (at, key), limit, recipient=recipient)
    return page(found, limit, asdict, lambda one: f"{one.recipient}{BETWEEN}{one.key}")


@router.get("/policy/greylist/domains")
async def list_domains(means: Means, after: str = "", limit: Limit = 100) -> dict[str, Any]:
    """Return the domains that do not leave it to the setting."""
    found = await greylisting.greylisted_domains(means.pool, after, limit)
    return page(found, limit, lambda one: {"domain": one[0], "enabled": one[1]}, lambda one: one[0])


@router.put("/policy/greylist/domains/{domain}", status_code=HTTPStatus.NO_CONTENT)
async def set_domain(domain: DomainName, body: GreylistingBody, means: Means, actor: Actor) -> None:
    """Say whether mail to a domain of ours is greylisted; 404 if it is none."""
    said = "on" if body.enabled else "off"
    async with audited(means.pool, actor, "greylist set", domain, said) as tx:
        await greylisting.set_greylisting(tx, domain, enabled=body.enabled)


@router.delete("/policy/greylist/domains/{domain}", status_code=HTTPStatus.NO_CONTENT)
async def reset_domain(domain: DomainName, means: Means, actor: Actor) -> None:
    """Leave it to the setting again; 404 if it was."""
    async with audited(means.pool, actor, "greylist reset", domain) as tx:
        await greylisting.set_greylisting(tx, domain, enabled=None)


@router.delete("/policy/greylist/networks/{network:path}", status_code=HTTPStatus.NO_CONTENT)
async def forget_network(network: str, means: Means, actor: Actor) -> None:
    """Let a network that was known wait again; 404 if it was not."""
    try:
        key = key_of("client", network)
    except ValueError as fault:
        raise invalid(f"{fault}.") from fault
    async with audited(means.pool, actor, "greylist forget", key) as tx:
        await greylisting.forget_network(tx, key)
