"""What policy would do with a message, and why; nothing of it is done."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from pydantic import Field

from posthouse.bus.ask import Asker
from posthouse.mail.errors import MissingObject
from posthouse.mail.explaining import ExplainQuestion, Explanation
from posthouse.mail.ids import object_key
from posthouse.storage.trace import timeline
from postmaster.api.bodies import MEBI, read_message, too_large
from postmaster.api.fields import Body, MessageId
from postmaster.api.parts import Means, Parts
from postmaster.api.problems import Problem, invalid, not_found

MAX_OCTETS = 5 * MEBI  # it is asked in one piece
PATIENCE = timedelta(seconds=50)
MAX_RECIPIENTS = 100

router = APIRouter(prefix="/policy", tags=["policy"])

Text = Annotated[str, Field(max_length=320)]


class Transaction(Body):
    """How the message would come.

    Attributes:
        sender: The reverse path; empty for the null path.
        recipient: The forward paths.
        client: The IP address of who brings it.
        hello: What that one calls itself.
        auth: The account that authenticated; empty for a stranger.
    """

    sender: Text
    recipient: Annotated[tuple[Text, ...], Field(min_length=1, max_length=MAX_RECIPIENTS)]
    client: Text
    hello: Text = ""
    auth: Text = ""


class Otherwise(Body):
    """What of a message's transaction shall be another; what is not given stays as it was."""

    sender: Text | None = None
    recipient: Annotated[tuple[Text, ...], Field(max_length=MAX_RECIPIENTS)] = ()
    client: Text = ""
    hello: Text = ""
    auth: Text | None = None


@router.post("/explain")
async def explain(
    request: Request, means: Means, how: Annotated[Transaction, Query()]
) -> dict[str, Any]:
    """Say what would become of the message in the request's body, by which checks."""
    question = ExplainQuestion(
        octets=await read_message(request, MAX_OCTETS),
        sender=how.sender,
        recipients=how.recipient,
        client=how.client,
        hello=how.hello,
        auth=how.auth,
    )
    return await _asked(means, question)


@router.get("/explain/{ident}")
async def explain_again(
    ident: MessageId, means: Means, other: Annotated[Otherwise, Query()]
) -> dict[str, Any]:
    """Say what would become of a message now that was accepted before, as it is stored."""
    known = await timeline(means.pool, ident)
    if known is None:
        raise not_found("message", ident)
    its = known.envelope
    if its.size > MAX_OCTETS:
        raise too_large(MAX_OCTETS)
    try:
        octets = await means.blobs.get(object_key(ident))
    except MissingObject as gone:
        raise Problem(HTTPStatus.GONE, "The message is not stored any more.") from gone
    client, _, hello = its.client.partition(" ")
    question = ExplainQuestion(
        octets=octets,
        sender=its.sender if other.sender is None else other.sender,
        recipients=other.recipient
        or tuple(to.address for to in known.recipients if to.parent is None)[:MAX_RECIPIENTS],
        client=other.client or client,
        hello=other.hello or hello.partition(" ")[0],
        auth=its.auth if other.auth is None else other.auth,
    )
    if not question.client:
        raise invalid("Nobody brought this message: it is a report of ours. Say who would: client.")
    return await _asked(means, question)


async def _asked(means: Parts, question: ExplainQuestion) -> dict[str, Any]:
    endpoints = [each for each in means.settings.policy_endpoints.split(",") if each]
    if not endpoints:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "POSTHOUSE_POLICY_ENDPOINTS: is missing for this."
        )
    async with Asker(endpoints, PATIENCE, Explanation) as policy:
        found = await policy.ask(question)
    told: dict[str, Any] = msgspec.to_builtins(found)
    return told
