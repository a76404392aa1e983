"""Lists: zones in DNS that are asked, and our own allow and deny lists."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any, Self, TypeAlias

from fastapi import APIRouter
from pydantic import AfterValidator, Field, model_validator

from posthouse.mail.access_keys import Kind, key_of
from posthouse.mail.list_codes import MAX_CHARACTERS, parse_codes
from posthouse.storage import access, list_zones
from posthouse.storage.access import EVERYBODY, Action, Entry
from posthouse.storage.list_zones import MAX_ZONES, SUBJECTS, Subject, Zone
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.fields import Body, DomainName, Limit, OneLine, Words, page
from postmaster.api.parts import Means
from postmaster.api.problems import invalid
from postmaster.api.suppressions import BETWEEN, MAX_DAYS, Scope

MAX_POINTS = 10_000
MAX_LINES = 1000  # written at once
WEIGHTIEST = 1_000  # points of one zone

router = APIRouter(tags=["lists"])


def _codes(text: str) -> str:
    parse_codes(text)
    return text


def _ascii(text: str) -> str:
    if not text.isascii():
        raise ValueError("must be ASCII: it is said in replies of SMTP")
    return text


Codes: TypeAlias = Annotated[str, Field(max_length=MAX_CHARACTERS), AfterValidator(_codes)]
Said: TypeAlias = Annotated[OneLine, AfterValidator(_ascii)]
Points: TypeAlias = Annotated[float, Field(ge=-MAX_POINTS, le=MAX_POINTS)]


class ZoneBody(Body):
    """What a zone is asked, and what it counts."""

    asks: Annotated[tuple[Subject, ...], Field(min_length=1, max_length=len(SUBJECTS))] = (
        "client",
    )
    weight: Annotated[float, Field(ge=-WEIGHTIEST, le=WEIGHTIEST)] = 1.0
    codes: Codes = ""
    title: Said = ""
    text: Said = ""
    comment: OneLine = ""


class What(Body):
    """What is done with whom an entry fits."""

    action: Action
    score: Points = 0.0
    forced: bool = False
    text: Said = ""

    @model_validator(mode="after")
    def _has_points(self) -> Self:
        if (self.action == "score") != bool(self.score):
            raise ValueError("a score has points, and nothing else has")
        if self.text and self.action not in {"deny", "defer"}:
            raise ValueError("a text is for who is refused")
        return self


Days: TypeAlias = Annotated[int | None, Field(ge=1, le=MAX_DAYS)]


class EntryBody(What):
    """What is done, and for how many days; without, for ever."""

    comment: OneLine = ""
    days: Days = None


class Line(What):
    """One of many entries."""

    kind: Kind
    key: Words


class Where(Body):
    """Which entry."""

    kind: Kind
    key: Words


class Lines(Body):
    """Entries of one list that are written and removed together, or none of them."""

    whose: Scope = EVERYBODY
    entries: Annotated[tuple[Line, ...], Field(max_length=MAX_LINES)] = ()
    remove: Annotated[tuple[Where, ...], Field(max_length=MAX_LINES)] = ()
    comment: OneLine = ""
    days: Days = None


@router.get("/policy/zones")
async def list_zones_asked(means: Means, after: str = "", limit: Limit = 100) -> dict[str, Any]:
    """Return the zones that are asked, by name."""
    found = await list_zones.zones(means.pool, after, limit)
    return page(found, limit, asdict, lambda one: one.zone)


@router.put("/policy/zones/{zone}", status_code=HTTPStatus.NO_CONTENT)
async def put_zone(zone: DomainName, body: ZoneBody, means: Means, actor: Actor) -> None:
    """Ask a zone from now on, or change how."""
    made = Zone(zone=zone, **{**body.model_dump(), "asks": tuple(dict.fromkeys(body.asks))})
    async with audited(means.pool, actor, "list zone set", made.name, f"{made.weight:g}") as tx:
        others = [each for each in await list_zones.zones(tx) if each.zone != zone]
        if len(others) >= MAX_ZONES:
            raise invalid(f"There are {MAX_ZONES} zones; more would slow down all mail.")
        await list_zones.put_zone(tx, made)


@router.delete("/policy/zones/{zone}", status_code=HTTPStatus.NO_CONTENT)
async def remove_zone(zone: DomainName, means: Means, actor: Actor) -> None:
    """Ask a zone no more; 404 if it was not."""
    async with audited(means.pool, actor, "list zone remove", zone) as tx:
        await list_zones.remove_zone(tx, zone)


@router.get("/policy/access")
async def list_entries(
    means: Means, after: str = "", limit: Limit = 100, whose: Scope | None = None
) -> dict[str, Any]:
    """Return the entries that hold, by what is looked at; all, or those of one list."""
    kind, _, rest = after.partition(BETWEEN)
    key, _, owner = rest.partition(BETWEEN)
    found = await access.entries(means.pool, (kind, key, owner), limit, whose=whose)
    return page(
        found, limit, asdict, lambda one: f"{one.kind}{BETWEEN}{one.key}{BETWEEN}{one.whose}"
    )


@router.put("/policy/access/{whose}/{kind}/{key:path}", status_code=HTTPStatus.NO_CONTENT)
async def put_entry(
    whose: Scope, kind: Kind, key: str, body: EntryBody, means: Means, actor: Actor
) -> None:
    """Write an entry of the house's list (``*``), a domain's, or an account's."""
    entry = _entry(whose, (kind, key), body, comment=body.comment, by=actor)
    chosen = f"{kind} {entry.key} for {whose}"
    async with audited(means.pool, actor, f"access {body.action}", chosen, body.comment) as tx:
        await access.put_entry(tx, entry, _lasts(body.days))


@router.post("/policy/access")
async def put_entries(lines: Lines, means: Means, actor: Actor) -> dict[str, Any]:
    """Write and remove many entries of one list; tell how many are different now."""
    made = [
        _entry(lines.whose, (each.kind, each.key), each, comment=lines.comment, by=actor)
        for each in lines.entries
    ]
    gone = [(each.kind, _key(each.kind, each.key)) for each in lines.remove]
    chosen = f"{len(made)} entries, {len(gone)} removed, for {lines.whose}"
    async with audited(means.pool, actor, "access import", chosen, lines.comment) as tx:
        removed = await access.remove_entries(tx, gone, lines.whose)
        changed = await access.put_entries(tx, made, _lasts(lines.days))
    return {"changed": changed, "removed": removed}


@router.delete("/policy/access/{whose}/{kind}/{key:path}", status_code=HTTPStatus.NO_CONTENT)
async def remove_entry(whose: Scope, kind: Kind, key: str, means: Means, actor: Actor) -> None:
    """Remove an entry; 404 if there is none."""
    where = _key(kind, key)
    async with audited(means.pool, actor, "access remove", f"{kind} {where} for {whose}") as tx:
        await access.remove_entry(tx, kind, where, whose)


def _entry(whose: str, at: tuple[Kind, str], what: What, *, comment: str, by: str) -> Entry:
    """Return the entry that is asked for, or say why there can be none."""
    kind, key = at[0], _key(*at)
    if kind == "rule" and what.action != "hold":
        raise invalid("What a rule finds can only hold mail: points are the rule's own.")
    if what.action == "allow" and kind in {"hello", "header"} and not what.forced:
        raise invalid(f"Anybody can claim a {kind}, and nothing proves it: say that it is forced.")
    if what.action == "discard" and whose != EVERYBODY:
        raise invalid("A message is discarded for all its recipients: only the list of all can.")
    return Entry(
        whose=whose,
        kind=kind,
        key=key,
        action=what.action,
        score=what.score,
        forced=what.forced,
        text=what.text,
        comment=comment,
        added_by=by,
    )


def _lasts(days: int | None) -> timedelta | None:
    return timedelta(days=days) if days else None


def _key(kind: Kind, text: str) -> str:
    try:
        return key_of(kind, text)
    except ValueError as fault:
        raise invalid(f"{fault}.") from fault
