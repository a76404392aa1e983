"""Dead letters: look at them; `dead_orders` sends them on, or ends them."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field, model_validator

from posthouse.storage.dead_letters import (
    Choice,
    DeadLetter,
    DeadState,
    dead_groups,
    dead_letters,
)
from postmaster.api.fields import Body, Number, PageSize, Words, page
from postmaster.api.parts import Means
from postmaster.api.problems import not_found
from postmaster.deadletters import readable

MAX_AT_ONCE = 1000  # numbers named in a request
WORDS_OF_IDS = 5  # numbers that an audit entry names

router = APIRouter(tags=["dead letters"])


class Which(Body):
    """Which letters; every condition that is given must hold, without any only with ``all``."""

    ids: Annotated[list[Number], Field(min_length=1, max_length=MAX_AT_ONCE)] | None = None
    fingerprint: str | None = None
    road: str | None = None
    envelope: UUID | None = None
    reason: Words | None = None
    all: bool = False
    dry_run: bool = False

    @model_validator(mode="after")
    def _something(self) -> Which:
        if not self.all and not self.words():
            raise ValueError("say which: ids, fingerprint, road, envelope, reason, or all")
        return self

    def words(self) -> str:
        """Return it as one would type it; nothing if there is no condition."""
        said = [str(ident) for ident in (self.ids or [])[:WORDS_OF_IDS]]
        if self.ids and len(self.ids) > WORDS_OF_IDS:
            said.append(f"and {len(self.ids) - WORDS_OF_IDS} more")
        for name in ("fingerprint", "road", "envelope", "reason"):
            value = getattr(self, name)
            if value is not None:
                said.append(f"--{name} {quoted(str(value))}")
        return " ".join(said)

    def choice(self) -> Choice:
        """Return it as the storage understands it; only waiting letters can be ended."""
        return Choice(
            ids=None if self.ids is None else tuple(self.ids),
            fingerprint=self.fingerprint,
            road=self.road,
            envelope=self.envelope,
            reason=self.reason,
        )


def quoted(text: str) -> str:
    """Return ``text`` as one would type it."""
    return text if text and " " not in text else f'"{text}"'


class Listing(Body):
    """Which letters to list; every condition that is given must hold."""

    state: DeadState | Literal["all"] = "waiting"
    fingerprint: str | None = None
    road: str | None = None
    envelope: UUID | None = None
    reason: Words | None = None
    after: Number = 0
    limit: PageSize = 100


@router.get("/dead-letters")
async def list_dead_letters(query: Annotated[Listing, Query()], means: Means) -> dict[str, Any]:
    """Return dead letters, oldest first."""
    choice = Choice(
        state=None if query.state == "all" else query.state,
        fingerprint=query.fingerprint,
        road=query.road,
        envelope=query.envelope,
        reason=query.reason,
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
