"""DKIM keys: made, published by the operator, checked in DNS, let sign, replaced.

Private halves come in (imports) and never go out.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter
from pydantic import AfterValidator, Field, SecretStr

from posthouse.authenticity.dkim.making import Algorithm, normal_pem, zone_line
from posthouse.authenticity.dkim.signature import a_labels
from posthouse.resolver import Resolver
from posthouse.storage import dkim_keys as storage
from posthouse.storage.dkim_keys import DkimKey
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.fields import Body, Limit, domain_name, page
from postmaster.api.parts import Means
from postmaster.api.problems import UNSIGNED, Problem, invalid
from postmaster.dkim_making import keep_key, make_key, published_fault, rotate

MAX_PEM_CHARACTERS = 20_000
_ALGORITHMS: dict[str, tuple[Algorithm, ...]] = {
    "rsa2048": ("rsa",),
    "ed25519": ("ed25519",),
    "both": ("rsa", "ed25519"),
}

router = APIRouter(prefix="/dkim", tags=["dkim"])


def _signing_domain(text: str) -> str:
    return a_labels(domain_name(text))


Signing: TypeAlias = Annotated[str, AfterValidator(_signing_domain)]
Selector: TypeAlias = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*$", max_length=63)
]


class NewKeys(Body):
    """Keys to be made; of ``both``, a selector gets ``r`` and ``e`` at its end."""

    domain: Signing
    algorithm: Literal["rsa2048", "ed25519", "both"] = "rsa2048"
    selector: Selector | None = None


class ImportedKey(Body):
    """A key of another program, PEM."""

    domain: Signing
    selector: Selector
    pem: Annotated[SecretStr, Field(max_length=MAX_PEM_CHARACTERS)]


@router.post("/keys", status_code=HTTPStatus.CREATED)
async def create_keys(new: NewKeys, means: Means, actor: Actor) -> dict[str, Any]:
    """Make keys; they sign once they are activated, or rotated in."""
    vault = await means.settings.dkim_vault(means.pool)
    wanted = _ALGORITHMS[new.algorithm]
    made = []
    async with audited(means.pool, actor, "dkim create", new.domain, new.algorithm) as tx:
        for algorithm in wanted:
            end = algorithm[0] if new.selector and len(wanted) > 1 else ""
            selector = (new.selector or "") + end
            made.append(await make_key(tx, vault, new.domain, algorithm, selector, rotates=False))
    return {"items": [_shown(key) for key in made], "next": None}


@router.post("/keys/import", status_code=HTTPStatus.CREATED)
async def import_key(new: ImportedKey, means: Means, actor: Actor) -> dict[str, Any]:
    """Take over a key of another program; it is pending, like a new one."""
    vault = await means.settings.dkim_vault(means.pool)
    try:
        pem = normal_pem(new.pem.get_secret_value())
    except (ValueError, TypeError) as wrong:  # TypeError: it is encrypted
        raise invalid("pem is no private key of RSA (1024 bits at least) or Ed25519.") from wrong
    async with audited(means.pool, actor, "dkim import", new.domain, new.selector) as tx:
        return _shown(await keep_key(tx, vault, new.domain, new.selector, pem, rotates=False))


@router.get("/keys")
async def list_keys(
    means: Means, domain: Signing | None = None, after: str = "", limit: Limit = 100
) -> dict[str, Any]:
    """Return keys by domain and selector, with what is to be published of each."""
    at = after.partition("|")
    found = await storage.dkim_keys(means.pool, (at[0], at[2]), limit, domain=domain)
    return page(found, limit, _shown, lambda key: f"{key.domain}|{key.selector}")


@router.post("/keys/{domain}/{selector}/check")
async def check_key(domain: Signing, selector: Selector, means: Means) -> dict[str, Any]:
    """Ask DNS, and say what is wrong."""
    key = await storage.dkim_key(means.pool, domain, selector)
    fault = await published_fault(Resolver(means.settings.nameservers), key)
    await storage.note_check(means.pool, key, fault)
    return _shown(await storage.dkim_key(means.pool, domain, selector))


@router.post("/keys/{domain}/{selector}/activate", responses=UNSIGNED)
async def activate_key(
    domain: Signing, selector: Selector, means: Means, actor: Actor, *, force: bool = False
) -> dict[str, Any]:
    """Let a key sign, instead of others of its kind; 409 if DNS does not show it, but for ``force``."""
    key = await storage.dkim_key(means.pool, domain, selector)
    fault = await published_fault(Resolver(means.settings.nameservers), key)
    await storage.note_check(means.pool, key, fault)
    if fault and not force:
        raise Problem(HTTPStatus.CONFLICT, f"Others would not believe it: {fault}.")
    async with audited(means.pool, actor, "dkim activate", key.name, fault) as tx:
        await storage.activate(tx, domain, selector)
    return _shown(await storage.dkim_key(means.pool, domain, selector))


@router.post("/domains/{domain}/rotate", status_code=HTTPStatus.CREATED)
async def rotate_keys(domain: Signing, means: Means, actor: Actor) -> dict[str, Any]:
    """Make successors of the active keys; each signs as soon as DNS shows it."""
    vault = await means.settings.dkim_vault(means.pool)
    async with audited(means.pool, actor, "dkim rotate", domain) as tx:
        made = await rotate(tx, vault, domain)
    return {"items": [_shown(key) for key in made], "next": None}


@router.delete("/keys/{domain}/{selector}", status_code=HTTPStatus.NO_CONTENT, responses=UNSIGNED)
async def remove_key(
    domain: Signing, selector: Selector, means: Means, actor: Actor, *, force: bool = False
) -> None:
    """Remove a key for good; 409 if it signs, but for ``force``."""
    async with audited(means.pool, actor, "dkim delete", f"{selector}._domainkey.{domain}") as tx:
        if not await storage.remove_dkim_key(tx, domain, selector, force=force):
            raise Problem(HTTPStatus.CONFLICT, "It signs: activate another one first, or force.")


def _shown(key: DkimKey) -> dict[str, Any]:
    return {
        "domain": key.domain,
        "selector": key.selector,
        "algorithm": key.algorithm,
        "state": key.state,
        "rotates": key.rotates,
        "name": key.name,
        "record": key.record,
        "zone": zone_line(key.name, key.record),
        "made": key.made_at,
        "active": key.active_at,
        "retiring": key.retiring_at,
        "retired": key.retired_at,
        "checked": key.checked_at,
        "fault": key.fault,
    }
