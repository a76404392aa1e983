"""Domains: for addresses in these we are the last station."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field, model_validator

from posthouse.storage import directory
from posthouse.storage.directory import Domain
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.fields import AddressText, Body, DomainName, Limit, page
from postmaster.api.parts import Means
from postmaster.api.problems import SHADOWED

router = APIRouter(tags=["domains"])


class NewDomain(Body):
    """A domain to take on."""

    domain: DomainName
    catch_all: AddressText | None = None


class DomainChange(Body):
    """What is to be different, at least one of these.

    Attributes:
        catch_all: Who takes what nobody else does; null for nobody.
        delimiters: What parts local parts from their details, some of ``+-=``.
    """

    catch_all: AddressText | None = None
    delimiters: Annotated[str, Field(pattern=r"^[+=-]{0,3}$")] | None = None

    @model_validator(mode="after")
    def _has_any(self) -> DomainChange:
        if not self.model_fields_set:
            raise ValueError("catch_all or delimiters is needed")
        return self


@router.get("/domains")
async def list_domains(means: Means, after: str = "", limit: Limit = 100) -> dict[str, Any]:
    """Return our domains by name."""
    found = await directory.domains(means.pool, after, limit)
    return page(found, limit, _shown, lambda domain: domain.domain)


@router.post("/domains", status_code=HTTPStatus.CREATED, responses=SHADOWED)
async def add_domain(
    new: NewDomain, means: Means, actor: Actor, *, force: bool = False
) -> dict[str, Any]:
    """Take on a domain; 409 if it is ours already.

    409 also if it has a route, which would take its mail no more; unless ``force``.
    """
    async with audited(means.pool, actor, "domain add", new.domain, new.catch_all or "") as tx:
        await directory.add_domain(tx, new.domain, force=force)
        if new.catch_all is not None:
            await directory.set_catch_all(tx, new.domain, new.catch_all)
    return _shown(Domain(domain=new.domain, catch_all=new.catch_all))


@router.patch("/domains/{domain}", status_code=HTTPStatus.NO_CONTENT)
async def change_domain(
    domain: DomainName, change: DomainChange, means: Means, actor: Actor
) -> None:
    """Set who takes what nobody else does, or what parts details; 404 if the domain is not ours."""
    told = change.model_dump(exclude_unset=True)
    detail = ", ".join(f"{name} {value or 'none'}" for name, value in told.items())
    async with audited(means.pool, actor, "domain change", domain, detail) as tx:
        if "catch_all" in change.model_fields_set:
            await directory.set_catch_all(tx, domain, change.catch_all)
        if change.delimiters is not None:
            await directory.set_delimiters(tx, domain, change.delimiters)


@router.delete("/domains/{domain}", status_code=HTTPStatus.NO_CONTENT)
async def remove_domain(domain: DomainName, means: Means, actor: Actor) -> None:
    """Give up a domain; 409 while it has accounts or aliases."""
    async with audited(means.pool, actor, "domain remove", domain) as tx:
        await directory.remove_domain(tx, domain)


def _shown(domain: Domain) -> dict[str, Any]:
    return {
        "domain": domain.domain,
        "catch_all": domain.catch_all,
        "delimiters": domain.delimiters,
    }
