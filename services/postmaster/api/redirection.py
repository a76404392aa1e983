"""Where mail goes instead: aliases and groups, forwards; and who may relay."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from posthouse.storage import directory
from posthouse.storage.directory import Alias, Forward, Network
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.fields import (
    MAX_TARGETS,
    AddressKey,
    AddressText,
    Body,
    DomainName,
    Limit,
    Targets,
    address_key,
    domain_name,
    page,
)
from postmaster.api.parts import Means
from postmaster.api.problems import SHADOWED, invalid

SHOWN = 10  # targets in the audit

router = APIRouter(tags=["redirection"])


def _poster(text: str) -> str:
    if text.lower() == directory.MEMBERS:
        return text.lower()
    return f"@{domain_name(text[1:])}" if text.startswith("@") else address_key(text)


Poster: TypeAlias = Annotated[str, AfterValidator(_poster)]


class AliasBody(Body):
    """What an address stands for; with an owner it is a group, whose bounces go to the owner.

    ``posters`` are who may send to it: addresses, ``@domain``, ``members``; without, everybody.
    """

    targets: Targets
    owner: AddressText | None = None
    posters: Annotated[tuple[Poster, ...], Field(max_length=MAX_TARGETS)] = ()


class ForwardBody(Body):
    """Where an account's mail goes."""

    targets: Targets
    keep_copy: bool = True


class NetworkBody(Body):
    """On which terms a network's clients relay; of several networks the most specific counts."""

    note: str = ""
    relay: bool = True
    senders: Annotated[tuple[DomainName, ...], Field(max_length=MAX_TARGETS)] = ()


@router.get("/aliases")
async def list_aliases(means: Means, after: str = "", limit: Limit = 100) -> dict[str, Any]:
    """Return aliases and groups by address."""
    found = await directory.aliases(means.pool, after, limit)
    return page(found, limit, _alias, lambda alias: alias.address)


@router.put("/aliases/{address:path}", status_code=HTTPStatus.NO_CONTENT, responses=SHADOWED)
async def set_alias(
    address: AddressKey, body: AliasBody, means: Means, actor: Actor, *, force: bool = False
) -> None:
    """Let an address stand for its targets; 404 if its domain is not ours.

    An alias goes before the account of the same address, which gets no more mail unless it is one
    of the targets, and before what another gets by plus addressing: 409 unless ``force``. 422 if
    it stands for nobody but itself.
    """
    if {address_key(target) for target in body.targets} == {address}:
        raise invalid(f"{address} would stand for nobody but itself.")
    async with audited(means.pool, actor, "alias set", address, _words(body.targets)) as tx:
        await directory.set_alias(
            tx, address, body.targets, body.owner, posters=body.posters, force=force
        )


@router.delete("/aliases/{address:path}", status_code=HTTPStatus.NO_CONTENT)
async def remove_alias(address: AddressKey, means: Means, actor: Actor) -> None:
    """Remove an alias."""
    async with audited(means.pool, actor, "alias remove", address) as tx:
        await directory.remove_alias(tx, address)


@router.get("/forwards")
async def list_forwards(means: Means, after: str = "", limit: Limit = 100) -> dict[str, Any]:
    """Return the accounts whose mail is forwarded, by address."""
    found = await directory.forwards(means.pool, after, limit)
    return page(found, limit, _forward, lambda forward: forward.address)


@router.put("/forwards/{address:path}", status_code=HTTPStatus.NO_CONTENT)
async def set_forward(address: AddressKey, body: ForwardBody, means: Means, actor: Actor) -> None:
    """Forward an account's mail."""
    async with audited(means.pool, actor, "forward set", address, _words(body.targets)) as tx:
        await directory.set_forward(tx, address, body.targets, keep_copy=body.keep_copy)


@router.delete("/forwards/{address:path}", status_code=HTTPStatus.NO_CONTENT)
async def remove_forward(address: AddressKey, means: Means, actor: Actor) -> None:
    """Stop forwarding an account's mail; nothing happens if it was not forwarded."""
    async with audited(means.pool, actor, "forward remove", address) as tx:
        await directory.set_forward(tx, address, ())


@router.get("/networks")
async def list_networks(means: Means) -> dict[str, Any]:
    """Return all networks whose clients have terms for relaying without a password; they are few."""
    found = await directory.networks(means.pool)
    return {"items": [_network(network) for network in found], "next": None}


@router.put("/networks/{network:path}", status_code=HTTPStatus.NO_CONTENT)
async def add_network(network: str, body: NetworkBody, means: Means, actor: Actor) -> None:
    """Let the clients of a network relay, or set on which terms."""
    detail = _words(body.senders) if body.relay else "may not relay"
    async with audited(means.pool, actor, "network set", network, detail) as tx:
        await directory.add_network(tx, network, body.note, relay=body.relay, senders=body.senders)


@router.delete("/networks/{network:path}", status_code=HTTPStatus.NO_CONTENT)
async def remove_network(network: str, means: Means, actor: Actor) -> None:
    """Forbid it again."""
    async with audited(means.pool, actor, "network remove", network) as tx:
        await directory.remove_network(tx, network)


def _words(names: Sequence[str]) -> str:
    """Return the first of them, for people."""
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return " ".join(names[:SHOWN]) + rest


def _alias(alias: Alias) -> dict[str, Any]:
    return {
        "address": alias.address,
        "targets": list(alias.targets),
        "owner": alias.owner,
        "posters": list(alias.posters),
    }


def _forward(forward: Forward) -> dict[str, Any]:
    return {
        "address": forward.address,
        "targets": list(forward.targets),
        "keep_copy": forward.keep_copy,
    }


def _network(network: Network) -> dict[str, Any]:
    return {
        "network": str(network.network),
        "note": network.note,
        "relay": network.relay,
        "senders": sorted(network.senders),
    }
