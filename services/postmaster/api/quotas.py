"""Quotas of accounts, domains and tenants, tenants themselves, and who manages quotas by IMAP."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from posthouse.storage.directory import tenants as rooms
from posthouse.storage.pool import transaction
from posthouse.storage.quotas import (
    Limits,
    Quota,
    Scope,
    find_quota,
    manage_quotas,
    recount,
    set_limits,
)
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.fields import AddressKey, Body, DomainName, Limit, Number, one_line, page
from postmaster.api.parts import Means
from postmaster.api.problems import not_found

router = APIRouter(tags=["quotas"])


def tenant_name(text: str) -> str:
    """Return the name of a tenant; `ValueError` if it cannot be one."""
    name = one_line(text)
    if not name or any(ch in "/ \"'" for ch in name):
        raise ValueError("a tenant's name has no spaces, quotes or slashes")
    return name.lower()


TenantName = Annotated[str, Field(max_length=100), AfterValidator(tenant_name)]


class QuotaBody(Body):
    """All limits; null, or left out: none."""

    octets: Number | None = None
    messages: Number | None = None
    mailboxes: Number | None = None


class NewTenant(Body):
    """A tenant to be made."""

    tenant: TenantName


@router.get("/quotas/{scope}/{name}")
async def show_quota(scope: Scope, name: str, means: Means) -> dict[str, Any]:
    """Return the limits and the use of a user, a domain or a tenant; 404 if there is none."""
    quota = await find_quota(means.pool, scope, name.lower())
    if quota is None:
        raise not_found(scope.value, name)
    return _shown(quota)


@router.put("/quotas/{scope}/{name}")
async def set_quota(
    scope: Scope, name: str, body: QuotaBody, means: Means, actor: Actor
) -> dict[str, Any]:
    """Replace all limits; 404 if there is no such user, domain or tenant."""
    limits = Limits(octets=body.octets, messages=body.messages, mailboxes=body.mailboxes)
    given = body.model_dump(exclude_none=True).items()
    detail = ", ".join(f"{key} {value}" for key, value in given) or "no limits"
    async with audited(means.pool, actor, "quota set", f"{scope.value} {name}", detail) as tx:
        if not await set_limits(tx, scope, name.lower(), limits):
            raise not_found(scope.value, name)
    return await show_quota(scope, name, means)


@router.put("/quota-managers/{domain}/{address}", status_code=HTTPStatus.NO_CONTENT)
async def add_manager(domain: DomainName, address: AddressKey, means: Means, actor: Actor) -> None:
    """Let an account set the quotas of a domain by IMAP; 404 without account or domain."""
    async with audited(means.pool, actor, "quota manager added", domain, address) as tx:
        if not await manage_quotas(tx, address, domain):
            raise not_found(f"account {address}, or no domain", domain)


@router.delete("/quota-managers/{domain}/{address}", status_code=HTTPStatus.NO_CONTENT)
async def remove_manager(
    domain: DomainName, address: AddressKey, means: Means, actor: Actor
) -> None:
    """End that; 404 if it was not so."""
    async with audited(means.pool, actor, "quota manager removed", domain, address) as tx:
        if not await manage_quotas(tx, address, domain, on=False):
            raise not_found(f"manager {address} of", domain)


@router.get("/tenants")
async def list_tenants(means: Means, after: str = "", limit: Limit = 100) -> dict[str, Any]:
    """Return the tenants by name, with their domains."""
    found = await rooms.tenants(means.pool, after, limit)
    return page(
        found,
        limit,
        lambda one: {"tenant": one.tenant, "domains": list(one.domains)},
        lambda one: one.tenant,
    )


@router.post("/tenants", status_code=HTTPStatus.CREATED)
async def add_tenant(new: NewTenant, means: Means) -> None:
    """Make a tenant; 409 if it is there."""
    await rooms.add_tenant(means.pool, new.tenant)


@router.delete("/tenants/{tenant}", status_code=HTTPStatus.NO_CONTENT)
async def remove_tenant(tenant: TenantName, means: Means) -> None:
    """Remove a tenant; 404 without it, 409 while it has domains."""
    await rooms.remove_tenant(means.pool, tenant)


@router.put("/tenants/{tenant}/domains/{domain}", status_code=HTTPStatus.NO_CONTENT)
async def assign_domain(tenant: TenantName, domain: DomainName, means: Means) -> None:
    """Make a domain the tenant's; 404 without one of them."""
    async with transaction(means.pool) as tx:
        await rooms.assign_domain(tx, domain, tenant)
        await recount(tx)


@router.delete("/tenants/{tenant}/domains/{domain}", status_code=HTTPStatus.NO_CONTENT)
async def free_domain(tenant: TenantName, domain: DomainName, means: Means) -> None:
    """Make a domain nobody's; 404 if it is not the tenant's."""
    async with transaction(means.pool) as tx:
        await rooms.free_domain(tx, domain, tenant)
        await recount(tx)


def _shown(quota: Quota) -> dict[str, Any]:
    limits = quota.limits
    return {
        "scope": quota.scope.value,
        "name": quota.name,
        "octets": limits.octets,
        "messages": limits.messages,
        "mailboxes": limits.mailboxes,
        "used_octets": quota.octets,
        "used_messages": quota.messages,
        "used_mailboxes": quota.mailboxes,
    }
