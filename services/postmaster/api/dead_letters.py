"""Dead letters: look at them, put them back on their road, or end them."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field, model_validator

from posthouse.storage import audit
from posthouse.storage.dead_letters import Choice, DeadLetter, dead_groups, dead_letters
from postmaster.api.actor import Actor
from postmaster.api.fields import Body, Number, PageSize, page
from postmaster.api.parts import Means
from postmaster.api.problems import not_found
from postmaster.deadletters import discard, readable, replay, sort_out

MAX_AT_ONCE = 1000  # letters per request; what is left is told

router = APIRouter(tags=["dead letters"])


class Which(Body):
    """Which letters: by number, fingerprint, road or message; several conditions must all hold."""

    ids: Annotated[list[Number], Field(min_length=1, max_length=MAX_AT_ONCE)] | None = None
    fingerprint: str | None = None
    road: str | None = None
    envelope: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_AT_ONCE)] = MAX_AT_ONCE  # 1 sends a canary
    dry_run: bool = False

    @model_validator(mode="after")
    def _something(self) -> Which:
        if not self.conditions():
            raise ValueError("say which: ids, fingerprint, road or envelope")
        return self

    def conditions(self) -> dict[str, object]:
        """Return what was said of which letters."""
        said = self.model_dump(include={"ids", "fingerprint", "road", "envelope"})
        return {name: value for name, value in said.items() if value is not None}

    def choice(self) -> Choice:
        """Return it as the storage understands it; only waiting letters can be ended."""
        ids = None if self.ids is None else tuple(self.ids)
        return Choice(ids=ids, fingerprint=self.fingerprint, road=self.road, envelope=self.envelope)

    def intent(self, actor: str, action: str, found: int, note: str = "") -> audit.Intent:
        """Return it as the audit notes it."""
        chosen = " ".join(f"{name}={value}" for name, value in self.conditions().items())
        return audit.Intent(actor=actor, action=action, chosen=chosen, detail=note, found=found)


class Listing(Body):
    """Which letters to list; every condition that is given must hold."""

    state: Literal["waiting", "replayed", "discarded", "all"] = "waiting"
    fingerprint: str | None = None
    road: str | None = None
    envelope: UUID | None = None
    after: Number = 0
    limit: PageSize = 100


class Replay(Which):
    """Which letters go back on their road."""


class Discard(Which):
    """Which letters end, and why."""

    note: str = ""


@router.get("/dead-letters")
async def list_dead_letters(query: Annotated[Listing, Query()], means: Means) -> dict[str, Any]:
    """Return dead letters, oldest first."""
    choice = Choice(
        state=None if query.state == "all" else query.state,
        fingerprint=query.fingerprint,
        road=query.road,
        envelope=query.envelope,
    )
    found = await dead_letters(means.pool, choice, query.after, query.limit)
    return page(found, query.limit, _shown, lambda letter: letter.id)


@router.get("/dead-letters/groups")
async def list_groups(means: Means, limit: PageSize = 100) -> dict[str, Any]:
    """Return of what letters died that wait, by fingerprint; the largest group first."""
    return {"items": [asdict(group) for group in await dead_groups(means.pool, limit)]}


@router.get("/dead-letters/{ident}")
async def show_dead_letter(ident: Number, means: Means) -> dict[str, Any]:
    """Return one dead letter with the envelope as it travelled (base64)."""
    found = await dead_letters(means.pool, Choice(state=None, ids=(ident,)), limit=1)
    if not found:
        raise not_found("dead letter", ident)
    return {**_shown(found[0]), "body": base64.b64encode(found[0].body).decode()}


@router.post("/dead-letters/replay")
async def replay_dead_letters(which: Replay, means: Means, actor: Actor) -> dict[str, Any]:
    """Put waiting letters back on their road; ``kept`` tells which cannot travel and why."""
    found = await dead_letters(means.pool, which.choice(), limit=which.limit)
    can, kept = sort_out(found)
    if not which.dry_run:
        number = await audit.begin(means.pool, which.intent(actor, "dead replay", len(found)))
        for letter in can:
            await replay(means.pool, means.publisher, letter)
            await audit.count(means.pool, number, changed=1)
        await audit.end(means.pool, number)
    return {
        "replayed": [letter.id for letter in can],
        "kept": [{"id": one.id, "reason": one.reason} for one in kept],
        "dry_run": which.dry_run,
        "more": len(found) == which.limit,
    }


@router.post("/dead-letters/discard")
async def discard_dead_letters(which: Discard, means: Means, actor: Actor) -> dict[str, Any]:
    """End waiting letters; their open recipients are settled as discarded by a named rule."""
    found = await dead_letters(means.pool, which.choice(), limit=which.limit)
    ended = [letter.id for letter in found]
    if not which.dry_run:
        intent = which.intent(actor, "dead discard", len(found), which.note)
        number = await audit.begin(means.pool, intent)
        ended = [letter.id for letter in found if await discard(means.pool, letter, which.note)]
        await audit.count(means.pool, number, changed=len(ended))
        await audit.end(means.pool, number)
    return {"discarded": ended, "dry_run": which.dry_run, "more": len(found) == which.limit}


def _shown(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "state": letter.state,
        "road": letter.road,
        "service": letter.service,
        "reason": letter.reason,
        "exception": letter.exception,
        "fingerprint": letter.fingerprint,
        "envelope": letter.envelope,
        "readable": readable(letter) is not None,
        "attempts": letter.attempts,
        "first_failed": letter.first_failed,
        "last_failed": letter.last_failed,
        "note": letter.note,
        "ended_at": letter.ended_at,
    }
