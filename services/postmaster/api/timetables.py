"""Timetables: when mail of a class is tried again, and for how long."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BeforeValidator, Field

from posthouse.runtime.durations import duration_words, parse_duration
from posthouse.storage import timetables
from posthouse.storage.timetables import MAX_DELAYS, ClassTimetable
from postmaster.api.fields import Body
from postmaster.api.parts import Means

router = APIRouter(tags=["timetables"])

Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


class TimetableBody(Body):
    """Durations as ``30s``, ``5m``, ``4h`` or ``5d``; each pause becomes the nearest wait queue."""

    delays: Annotated[list[Duration], Field(min_length=1, max_length=MAX_DELAYS)]
    warn_after: Duration | None = None
    give_up: Duration


@router.get("/timetables")
async def list_timetables(means: Means) -> dict[str, Any]:
    """Return the timetables of all classes; they are few."""
    return {"items": [_shown(e) for e in await timetables.timetables(means.pool)], "next": None}


@router.put("/timetables/{of}", status_code=HTTPStatus.NO_CONTENT)
async def set_timetable(of: str, body: TimetableBody, means: Means) -> None:
    """Set when mail to (``to:far.test``) or from (``from:@ours.test``) some is tried again."""
    table = ClassTimetable(
        of=of,
        delays=tuple(body.delays),
        warn_after=body.warn_after or None,
        give_up=body.give_up,
    )
    await timetables.set_timetable(means.pool, table)


@router.delete("/timetables/{of}", status_code=HTTPStatus.NO_CONTENT)
async def remove_timetable(of: str, means: Means) -> None:
    """Let mail of a class follow the settings again."""
    await timetables.remove_timetable(means.pool, of)


def _shown(table: ClassTimetable) -> dict[str, Any]:
    return {
        "class": table.of,
        "delays": list(map(duration_words, table.delays)),
        "warn_after": table.warn_after and duration_words(table.warn_after),
        "give_up": duration_words(table.give_up),
    }
