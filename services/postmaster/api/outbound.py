"""Mail that leaves: limits of accounts, domains and tenants; accounts that are paused, and alarms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeAlias, get_args

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from posthouse.runtime.rate_settings import parse_rate
from posthouse.storage import rates
from posthouse.storage.outbound import alarms, counting, pausing, terms
from posthouse.storage.outbound.pausing import Ending
from posthouse.storage.outbound.terms import Kind, Override, Scope, Thing
from posthouse.storage.rates import Standing
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.fields import AddressKey, Body, Limit, Number, address_key, domain_name, page
from postmaster.api.parts import Means
from postmaster.api.problems import Problem, invalid, not_found
from postmaster.api.quotas import TenantName, tenant_name

MAX_RATES = 4  # of one limit
SHOWN = 100  # counts of one account, its domain and its tenant
BETWEEN = " "

router = APIRouter(tags=["outbound"])


def _rates(text: str) -> str:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > MAX_RATES:
        raise ValueError(f"must be at most {MAX_RATES} rates")
    for part in parts:
        parse_rate(part)
    return ",".join(parts)


Rates: TypeAlias = Annotated[str, Field(max_length=200), AfterValidator(_rates)]


class LimitBody(Body):
    """``500/1h,2000/1d``; ``0``: no limit."""

    rates: Rates


class PauseBody(Body):
    """``pause`` takes nothing any more, ``hold`` takes and holds."""

    kind: Kind = "pause"


class ResumeBody(Body):
    """What becomes of what is held."""

    ending: Ending


class ContactBody(Body):
    """Who is told of trouble with a tenant's accounts; empty: nobody."""

    address: AddressKey | Literal[""]


@router.get("/policy/limits")
async def list_outbound_limits(means: Means, after: str = "", limit: Limit = 100) -> dict[str, Any]:
    """Return the limits that are set here; what is not set follows policy's settings."""
    scope, _, rest = after.partition(BETWEEN)
    name, _, thing = rest.partition(BETWEEN)
    found = await terms.limits(means.pool, (scope, name, thing), limit)
    return page(found, limit, asdict, lambda one: BETWEEN.join((one.scope, one.name, one.thing)))


@router.get("/policy/limits/show/{account}")
async def show_outbound(account: AddressKey, means: Means) -> dict[str, Any]:
    """Return what an account sends in a day, usually, which limits hold for it, and what is used.

    Each of `holds` must have room, in this order; ``rates`` of null: those of policy's settings.
    """
    known = (await terms.terms_of(means.pool, [account]))[account]
    names = [account, account.rpartition("@")[2]]
    if known.tenant:
        names.append(f"tenant {known.tenant}")
    counted = [
        _shown(each)
        for name in names
        for each in await rates.standings(means.pool, ("", ""), SHOWN, who=name)
        if each.what.startswith("sent ")
    ]
    today = await counting.today(means.pool, account)
    return {
        **asdict(today),
        "state": known.kind or "sends",
        "holds": list(_holding(account, known)),
        "limits": counted,
    }


@router.put("/policy/limits/{scope}/{name}/{thing}", status_code=HTTPStatus.NO_CONTENT)
async def set_outbound_limit(
    scope: Scope, name: str, thing: Thing, body: LimitBody, means: Means, actor: Actor
) -> None:
    """Let these rates count for one account, domain or tenant instead of the settings'."""
    override = Override(scope=scope, name=_name(scope, name), thing=thing, rates=body.rates)
    chosen = f"{scope} {override.name} {thing}"
    async with audited(means.pool, actor, "outbound limit set", chosen, body.rates) as tx:
        await terms.set_limit(tx, override)


@router.delete("/policy/limits/{scope}/{name}/{thing}", status_code=HTTPStatus.NO_CONTENT)
async def unset_outbound_limit(
    scope: Scope, name: str, thing: Thing, means: Means, actor: Actor
) -> None:
    """Let the settings count again; 404 if they did."""
    key = _name(scope, name)
    async with audited(means.pool, actor, "outbound limit unset", f"{scope} {key} {thing}") as tx:
        if not await terms.unset_limit(tx, scope, key, thing):
            raise not_found(f"limit of {thing} for {scope}", key)


@router.get("/policy/alarms")
async def list_alarms(means: Means, after: Number = 0, limit: Limit = 100) -> dict[str, Any]:
    """Return what looked wrong about accounts, the newest first."""
    found = await alarms.alarms(means.pool, after, limit)
    return page(found, limit, asdict, lambda one: one.id)


@router.get("/paused-accounts")
async def list_paused(means: Means, after: str = "", limit: Limit = 100) -> dict[str, Any]:
    """Return accounts whose mail is held or refused, by address."""
    found = await pausing.paused(means.pool, after, limit)
    return page(found, limit, asdict, lambda one: one.account)


@router.put("/paused-accounts/{account}", status_code=HTTPStatus.NO_CONTENT)
async def pause_account(account: AddressKey, body: PauseBody, means: Means, actor: Actor) -> None:
    """Let no mail of an account leave; 409 if that is so already."""
    async with audited(means.pool, actor, "account pause", account, body.kind) as tx:
        if not await pausing.pause(tx, account, body.kind, "operator", actor=actor):
            raise Problem(HTTPStatus.CONFLICT, f"{account} is paused already.")


@router.post("/paused-accounts/{account}/resume", status_code=HTTPStatus.NO_CONTENT)
async def resume_account(account: AddressKey, body: ResumeBody, means: Means, actor: Actor) -> None:
    """Let an account send again; what is held goes within seconds, or ends. 404: not paused."""
    async with audited(means.pool, actor, "account resume", account, body.ending) as tx:
        if not await pausing.resume(tx, account, body.ending):
            raise not_found("paused account", account)


@router.put("/tenants/{tenant}/contact", status_code=HTTPStatus.NO_CONTENT)
async def set_tenant_contact(
    tenant: TenantName, body: ContactBody, means: Means, actor: Actor
) -> None:
    """Say who is told of trouble with a tenant's accounts; 404 without the tenant."""
    async with audited(means.pool, actor, "tenant contact", tenant, body.address) as tx:
        if not await alarms.set_contact(tx, tenant, body.address):
            raise not_found("tenant", tenant)


def _holding(account: str, known: terms.Terms) -> Iterator[dict[str, Any]]:
    """Yield what holds for an account, the narrowest first."""
    names = {"account": account, "domain": account.rpartition("@")[2], "tenant": known.tenant}
    for scope, name in names.items():
        for thing in get_args(Thing) if name else ():
            rates = known.limits.get((scope, thing))
            yield {"scope": scope, "name": name, "thing": thing, "rates": rates}


def _name(scope: Scope, name: str) -> str:
    """Return the form in which ``name`` is kept."""
    check = {"account": address_key, "domain": domain_name, "tenant": tenant_name}[scope]
    try:
        return check(name)
    except ValueError as wrong:
        raise invalid(f"The name is none of a {scope}.") from wrong


def _shown(each: Standing) -> dict[str, Any]:
    return {
        "who": each.who,
        "what": each.what.removeprefix("sent "),
        "used": round(each.count),
        "of": each.most,
        "full": each.is_full,
    }
