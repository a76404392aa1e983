"""Maps of addresses: what is written in them, and what they make of an address."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from posthouse.mail.address import Address, parse_address
from posthouse.mail.map_patterns import compiled
from posthouse.mail.maps import (
    KINDS,
    MAX_TARGETS,
    PATTERN,
    BadEntry,
    Entry,
    Kind,
    changed,
    entry_of,
    key_of,
)
from posthouse.storage import maps
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.fields import AddressText, Body, Limit, Words, page
from postmaster.api.parts import Means
from postmaster.api.problems import invalid

BETWEEN = "\t"  # the two halves of a page's key; stands in no key
MAX_LINES = 1000  # written at once
REWRITING = frozenset(
    {"canonical", "sender-canonical", "recipient-canonical", "generic", "virtual"}
)

router = APIRouter(prefix="/policy", tags=["policy"])


def _kind(text: str) -> str:
    if text not in KINDS:
        raise ValueError(f"there is no map {text}; there are {', '.join(KINDS)}")
    return text


KindName: TypeAlias = Annotated[Kind, AfterValidator(_kind)]
Targets: TypeAlias = Annotated[tuple[Words, ...], Field(max_length=MAX_TARGETS)]


class Value(Body):
    """What becomes of those whom the key means."""

    targets: Targets


class Line(Value):
    """An entry of a map."""

    map: KindName
    key: Words


class Lines(Body):
    """Entries that are written together, or none of them."""

    entries: Annotated[tuple[Line, ...], Field(max_length=MAX_LINES)]


@router.get("/maps")
async def list_entries(
    means: Means, after: str = "", limit: Limit = 100, map_name: KindName | None = None
) -> dict[str, Any]:
    """Return entries by map and key; of one map or of all."""
    kind, _, key = after.partition(BETWEEN)
    found = await maps.entries(means.pool, (kind, key), limit, kind=map_name or "")
    return page(found, limit, _shown, lambda one: f"{one.kind}{BETWEEN}{one.key}")


@router.get("/maps/query")
async def query(means: Means, address: AddressText) -> dict[str, Any]:
    """Tell what each map says of an address, by which entry, and what it would become."""
    asked = parse_address(address)
    found = await maps.matches(means.pool, asked)
    return {"items": [{**_shown(each), "becomes": _becomes(asked, each)} for each in found]}


@router.put("/maps/{kind}/{key:path}", status_code=HTTPStatus.NO_CONTENT)
async def set_entry(kind: KindName, key: str, value: Value, means: Means, actor: Actor) -> None:
    """Write an entry, replacing that of its key; 422 if the map takes none like it."""
    made = _entry(kind, key, value.targets)
    words = f"{made.kind} {made.key}"
    async with audited(means.pool, actor, "map set", words, " ".join(made.targets)) as tx:
        await maps.set_entries(tx, [made])


@router.delete("/maps/{kind}/{key:path}", status_code=HTTPStatus.NO_CONTENT)
async def remove_entry(kind: KindName, key: str, means: Means, actor: Actor) -> None:
    """Remove an entry; 404 if there is none."""
    try:
        name = key_of(key)
    except BadEntry as wrong:
        raise invalid(str(wrong)) from wrong
    async with audited(means.pool, actor, "map remove", f"{kind} {name}") as tx:
        await maps.remove_entry(tx, kind, name)


@router.post("/maps")
async def set_entries(lines: Lines, means: Means, actor: Actor) -> dict[str, Any]:
    """Write many entries at once; tell how many are different now."""
    made = [_entry(each.map, each.key, each.targets) for each in lines.entries]
    words = f"{len(made)} entries"
    async with audited(means.pool, actor, "map import", words) as tx:
        return {"changed": await maps.set_entries(tx, made)}


def _entry(kind: str, key: str, targets: tuple[str, ...]) -> Entry:
    try:
        made = entry_of(kind, key, targets)
        if made.key.startswith(PATTERN):
            compiled(made.key)
    except BadEntry as wrong:
        raise invalid(f"{kind} {key}: {wrong}") from wrong
    return made


def _becomes(address: Address, entry: Entry) -> list[str]:
    if entry.kind == "masquerade":
        if address.local.lower() in entry.targets:
            return [str(address)]
        return [str(changed(address, f"@{entry.key[2:]}"))]
    if entry.kind not in REWRITING:
        return list(entry.targets)
    local = entry.key.rpartition("@")[0]
    exact = address.key.rpartition("@")[0]
    is_narrow = not entry.key.startswith(("@", PATTERN)) and "@" in entry.key
    detail = exact[len(local) :] if is_narrow else ""
    return [str(changed(address, target, detail) or address) for target in entry.targets]


def _shown(entry: Entry) -> dict[str, Any]:
    return {"map": entry.kind, "key": entry.key, "targets": list(entry.targets)}
