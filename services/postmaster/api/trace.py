"""The trace: what became of a message, from the ledger and the noted events."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import model_validator

from posthouse.storage.trace import find, timeline
from postmaster.api.fields import Body, MessageId, PageSize, page
from postmaster.api.parts import Means
from postmaster.api.problems import not_found

router = APIRouter(tags=["trace"])


class Search(Body):
    """What is known of a message: one of its three marks; none: all messages."""

    message_id: str | None = None
    sender: str | None = None
    recipient: str | None = None
    after: MessageId | None = None
    limit: PageSize = 50

    @model_validator(mode="after")
    def _one_mark_at_most(self) -> Search:
        marks = (self.message_id, self.sender, self.recipient)
        if sum(mark is not None for mark in marks) > 1:
            raise ValueError("give one of message_id, sender and recipient at most")
        return self


@router.get("/trace")
async def find_messages(search: Annotated[Search, Query()], means: Means) -> dict[str, Any]:
    """Return messages by their Message-ID, sender or recipient, or all; newest first."""
    found = await find(
        means.pool,
        message_id=search.message_id,
        sender=search.sender,
        recipient=search.recipient,
        after=search.after,
        limit=search.limit,
    )
    return page(found, search.limit, asdict, lambda message: message.id)


@router.get("/trace/{ident}")
async def show_timeline(ident: MessageId, means: Means) -> dict[str, Any]:
    """Return a message's envelope, its recipients and everything that happened, in order."""
    found = await timeline(means.pool, ident)
    if found is None:
        raise not_found("message", ident)
    return asdict(found)
