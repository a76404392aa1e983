"""The queue: recipients that wait for a server outside; look at them, and decide of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Query
from pydantic import AfterValidator, BeforeValidator, Field
from starlette.responses import StreamingResponse

from posthouse.mail.errors import Unavailable
from posthouse.runtime.durations import duration_words, parse_duration
from posthouse.storage import ledger
from posthouse.storage.ledger import By, Choice, Place, Waiting
from posthouse.telemetry.logs import get_logger
from postmaster.api.actor import Actor
from postmaster.api.fields import USUAL, Body, Hop, MessageId, OneLine, PageSize, Words, page
from postmaster.api.parts import Means, Parts
from postmaster.api.problems import invalid
from postmaster.queueing import Order, Verb, carry_out

MAX_IDS = 1000  # of one choice
WORDS_OF_IDS = 5  # ids that an audit entry names

# Which of the chosen a verb is about, so that what is found is what can be changed.
_CONCERNS: dict[Verb, Waiting] = {
    "flush": "deferred",
    "retry": "deferred",
    "hold": "deferred",
    "release": "held",
}

router = APIRouter(tags=["queue"])
log = get_logger()


def _place(text: str) -> Place:
    ident, _, n = text.partition("/")
    try:
        return UUID(ident), int(n)
    except ValueError as wrong:
        raise ValueError("is not the key of a page") from wrong


def _key(text: str) -> str:
    """Return the key of a page as it is; `ValueError` if it is none."""
    _place(text)
    return text


Age = Annotated[timedelta, BeforeValidator(parse_duration)]


class Filter(Body):
    """Which recipients; every condition that is given must hold."""

    id: Annotated[list[MessageId], Field(max_length=MAX_IDS)] | None = None
    domain: Words | None = None
    sender: Words | None = None
    recipient: Words | None = None
    tenant: Words | None = None
    older: Age | None = None
    younger: Age | None = None
    state: Waiting | None = None
    reply: Words | None = None

    def choice(self) -> Choice:
        """Return it as the storage understands it."""
        return Choice(
            ids=tuple(self.id) if self.id else None,
            domain=self.domain,
            sender=self.sender,
            recipient=self.recipient,
            tenant=self.tenant,
            older=self.older,
            younger=self.younger,
            state=self.state,
            reply=self.reply,
        )

    def words(self) -> str:
        """Return it as one would type it."""
        return " ".join(self._words()) or "--all"

    def _words(self) -> Iterator[str]:
        idents = self.id or []
        yield from map(str, idents[:WORDS_OF_IDS])
        if len(idents) > WORDS_OF_IDS:
            yield f"and {len(idents) - WORDS_OF_IDS} more"
        for name in ("domain", "sender", "recipient", "tenant", "state", "reply"):
            value = getattr(self, name)
            if value is not None:
                yield f"--{name} {value}" if value and " " not in value else f'--{name} "{value}"'
        for name in ("older", "younger"):
            age = getattr(self, name)
            if age is not None:
                yield f"--{name} {duration_words(age)}"


class Listing(Filter):
    """A page of them; ``after`` is the ``next`` of the page before."""

    after: Annotated[str, AfterValidator(_key)] = f"{UUID(int=0)}/-1"
    limit: PageSize = 100


class Counting(Filter):
    """How many, and of what: with ``by`` the most frequent values, too."""

    by: By | None = None
    top: PageSize = 20


class Decision(Filter):
    """What is decided of them; without any condition only with ``all``.

    ``to`` is the next hop of a reroute, ``usual`` for the way that mail goes by itself; ``text`` is
    what the senders of bounced mail are told.
    """

    all: bool = False
    dry_run: bool = False
    to: Hop | None = None
    text: OneLine | None = None


@router.get("/queue")
async def list_queue(query: Annotated[Listing, Query()], means: Means) -> dict[str, Any]:
    """Return recipients that wait, the oldest mail first."""
    found = await ledger.list_waiting(means.pool, query.choice(), _place(query.after), query.limit)
    return page(found, query.limit, asdict, lambda last: f"{last.id}/{last.n}")


@router.get("/queue/count")
async def count_queue(query: Annotated[Counting, Query()], means: Means) -> dict[str, Any]:
    """Return how many recipients wait; with ``by`` also of which most."""
    choice = query.choice()
    answer: dict[str, Any] = {"count": await ledger.count_waiting(means.pool, choice)}
    if query.by is not None:
        groups = await ledger.count_by(means.pool, choice, query.by, query.top)
        answer["by"] = [{"key": key, "count": count} for key, count in groups]
    return answer


@router.post("/queue/{verb}")
async def decide(verb: Verb, what: Decision, means: Means, actor: Actor) -> StreamingResponse:
    """Carry out a decision; one JSON line per batch (NDJSON).

    With ``dry_run`` the only line says how many it would concern. Otherwise the last line has
    ``done``, or ``error`` if an outage broke it off; then it is begun again.
    """
    if what.choice().is_everything and not what.all:
        raise invalid("Say which: ids, conditions, or all.")
    text = _detail(verb, what)
    choice = what.choice()
    choice = replace(choice, state=choice.state or _CONCERNS.get(verb))
    order = Order(verb=verb, choice=choice, words=what.words(), actor=actor, text=text)
    return StreamingResponse(
        _preview(means, order) if what.dry_run else _steps(means, order),
        media_type="application/x-ndjson",
    )


def _detail(verb: Verb, what: Decision) -> str:
    """Return what else must be said for ``verb``."""
    if verb == "reroute":
        if what.to is None:
            raise invalid(f"Say where to: a next hop, or {USUAL}.")
        return what.to
    if verb == "bounce":
        if not what.text:
            raise invalid("Say what their senders are told.")
        return what.text
    return ""


async def _preview(means: Parts, order: Order) -> AsyncIterator[bytes]:
    found = await ledger.count_waiting(means.pool, order.choice)
    yield orjson.dumps({"found": found, "changed": 0, "dry_run": True, "done": True}) + b"\n"


async def _steps(means: Parts, order: Order) -> AsyncIterator[bytes]:
    line: dict[str, Any] = {}
    try:
        async for progress in carry_out(means.pool, means.publisher, order):
            line = asdict(progress)
            yield orjson.dumps(line) + b"\n"
        yield orjson.dumps({**line, "done": True}) + b"\n"
    except Unavailable as outage:
        log.warning("queue operation broken off", reason=str(outage), **line)
        yield orjson.dumps({**line, "error": str(outage)}) + b"\n"
