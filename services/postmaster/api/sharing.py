"""Shared trees, and who may do what with whose mailboxes (RFC 4314)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from posthouse.mail import rights as r
from posthouse.storage import directory
from posthouse.storage.directory.shared_trees import (
    SharedTree,
    add_shared_tree,
    demand_shared_tree,
    shared_trees,
)
from posthouse.storage.mailboxes import NoSuchMailbox, find_mailbox, list_mailboxes
from posthouse.storage.pool import Queries
from posthouse.storage.sharing import Owner, change_acl, find_owner, known_identifiers
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.fields import AddressKey, Body, Limit, page
from postmaster.api.parts import Means
from postmaster.api.problems import SHADOWED, invalid, not_found

MAX_MANAGERS = 50

router = APIRouter(tags=["sharing"])


def rights_text(text: str) -> str:
    """Return rights in our order; `ValueError` if one is unknown."""
    try:
        return r.parse_rights(text)
    except ValueError as fault:
        raise ValueError(f"rights are some of {r.ALL}, c and d") from fault


def identifier_key(text: str) -> str:
    """Return an identifier as ACLs have it; `ValueError` if it can be none."""
    name = text.lower()
    bare = name.removeprefix("-").removeprefix(r.GROUP)
    if bare != r.ANYONE and "@" not in bare:
        raise ValueError("an identifier is name@domain, group:name@domain or anyone")
    if len(name.encode()) > r.MAX_IDENTIFIER_OCTETS:
        raise ValueError("too long for an identifier")
    return name


Identifier = Annotated[str, AfterValidator(identifier_key)]
Rights = Annotated[str, AfterValidator(rights_text)]
Folder = Annotated[str, Field(max_length=1024)]


class NewTree(Body):
    """A tree of mailboxes that is nobody's own; the managers get all rights on it."""

    address: AddressKey
    managers: Annotated[tuple[Identifier, ...], Field(max_length=MAX_MANAGERS)] = ()


class Grant(Body):
    """Rights on one mailbox, replacing what the identifier had there; none: its entry goes."""

    mailbox: Folder = "INBOX"
    identifier: Identifier
    rights: Rights


@router.get("/shared")
async def list_trees(means: Means, after: str = "", limit: Limit = 100) -> dict[str, Any]:
    """Return the shared trees by address."""
    found = await shared_trees(means.pool, after, limit)
    return page(found, limit, _shown, lambda tree: tree.address)


@router.post("/shared", status_code=HTTPStatus.CREATED, responses=SHADOWED)
async def add_tree(new: NewTree, means: Means, *, force: bool = False) -> None:
    """Make a shared tree; 409 as for an account."""
    await _demand_known(means.pool, new.managers)
    await add_shared_tree(means.pool, new.address, new.managers, r.ALL, force=force)


@router.delete("/shared/{address}", status_code=HTTPStatus.NO_CONTENT)
async def remove_tree(address: AddressKey, means: Means) -> None:
    """Remove a shared tree with all its mail; 404 if there is none."""
    await demand_shared_tree(means.pool, address)
    await directory.remove_account(means.pool, address)


@router.get("/acls/{address}")
async def list_acls(address: AddressKey, means: Means) -> dict[str, Any]:
    """Return the entries of all ACLs on mailboxes of an account or a shared tree."""
    owner = await _owner(means.pool, address)
    rows = [
        {"mailbox": box.name, "identifier": identifier, "rights": given}
        for box in await list_mailboxes(means.pool, owner.account)
        for identifier, given in sorted((box.acl or {}).items())
    ]
    return {"items": rows, "next": None}


@router.put("/acls/{address}", status_code=HTTPStatus.NO_CONTENT)
async def set_acl(address: AddressKey, grant: Grant, means: Means, actor: Actor) -> None:
    """Give somebody rights on a mailbox; 404 without it, 422 for who is nobody here."""
    owner = await _owner(means.pool, address)
    if grant.rights:
        await _demand_known(means.pool, [grant.identifier])
    try:
        box = await find_mailbox(means.pool, owner.account, grant.mailbox)
    except NoSuchMailbox as missing:
        raise not_found(f"mailbox {grant.mailbox} of", address) from missing

    def edit(acl: Mapping[str, str]) -> Mapping[str, str]:
        new = {name: given for name, given in acl.items() if name != grant.identifier}
        return new | ({grant.identifier: grant.rights} if grant.rights else {})

    what, chosen = f"{grant.identifier}: {grant.rights or 'nothing'}", f"{address} {grant.mailbox}"
    async with audited(means.pool, actor, "rights given", chosen, what) as tx:
        await change_acl(tx, owner.account, box.id, edit)


async def _owner(pool: Queries, address: str) -> Owner:
    owner = await find_owner(pool, address)
    if owner is None:
        raise not_found("account", address)
    return owner


async def _demand_known(pool: Queries, identifiers: Sequence[str]) -> None:
    wanted = {name.removeprefix("-") for name in identifiers} - {r.ANYONE}
    unknown = wanted - await known_identifiers(pool, wanted)
    if unknown:
        raise invalid(f"Nobody is called {', '.join(sorted(unknown))}.")


def _shown(tree: SharedTree) -> dict[str, Any]:
    return {"address": tree.address, "mailboxes": tree.mailboxes, "octets": tree.octets}
