"""Dead letters: look at them, put them back on their road, or end them."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field, model_validator

from posthouse.storage.dead_letters import Choice, DeadLetter, dead_letters
from postmaster.api.fields import Body, Number, PageSize, page
from postmaster.api.parts import Means
from postmaster.api.problems import not_found
from postmaster.deadletters import discard, readable, replay, sort_out

MAX_AT_ONCE = 1000  # letters per request; what is left is told

router = APIRouter(tags=["dead letters"])


class Which(Body):
    """Which letters: by number, fingerprint or road; several conditions must all hold."""

    ids: Annotated[list[Number], Field(min_length=1, max_length=MAX_AT_ONCE)] | None = None
    fingerprint: str | None = None
    road: str | None = None

    @model_validator(mode="after")
    def _something(self) -> Which:
        if self.ids is None and self.fingerprint is None and self.road is None:
            raise ValueError("say which: ids, fingerprint or road")
        return self

    def choice(self) -> Choice:
        """Return it as the storage understands it; only waiting letters can be ended."""
        ids = None if self.ids is None else tuple(self.ids)
        return Choice(ids=ids, fingerprint=self.fingerprint, road=self.road)


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

    dry_run: bool = False


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


@router.get("/dead-letters/{ident}")
async def show_dead_letter(ident: Number, means: Means) -> dict[str, Any]:
    """Return one dead letter with the envelope as it travelled (base64)."""
    found = await dead_letters(means.pool, Choice(state=None, ids=(ident,)), limit=1)
    if not found:
        raise not_found("dead letter", ident)
    return {**_shown(found[0]), "body": base64.b64encode(found[0].body).decode()}


@router.post("/dead-letters/replay")
async def replay_dead_letters(which: Replay, means: Means) -> dict[str, Any]:
    """Put waiting letters back on their road; ``kept`` tells which cannot travel and why."""
    found = await dead_letters(means.pool, which.choice(), limit=MAX_AT_ONCE)
    can, kept = sort_out(found)
    if not which.dry_run:
        for letter in can:
            await replay(means.pool, means.publisher, letter)
    return {
        "replayed": [letter.id for letter in can],
        "kept": [{"id": one.id, "reason": one.reason} for one in kept],
        "dry_run": which.dry_run,
        "more": len(found) == MAX_AT_ONCE,
    }


@router.post("/dead-letters/discard")
async def discard_dead_letters(which: Discard, means: Means) -> dict[str, Any]:
    """End waiting letters; their open recipients are settled as discarded by a named rule."""
    found = await dead_letters(means.pool, which.choice(), limit=MAX_AT_ONCE)
    ended = [letter.id for letter in found if await discard(means.pool, letter, which.note)]
    return {"discarded": ended, "more": len(found) == MAX_AT_ONCE}


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
