"""What policy would do with a message, and why; nothing of it is done."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from pydantic import Field

from posthouse.bus.ask import Asker
from posthouse.mail.explaining import ExplainQuestion, Explanation
from postmaster.api.fields import Body
from postmaster.api.parts import Means
from postmaster.api.problems import Problem, invalid

MAX_OCTETS = 5 * 1024 * 1024  # it is asked in one piece
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


@router.post("/explain")
async def explain(
    request: Request, means: Means, how: Annotated[Transaction, Query()]
) -> dict[str, Any]:
    """Say what would become of the message in the request's body, by which checks."""
    endpoints = [each for each in means.settings.policy_endpoints.split(",") if each]
    if not endpoints:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "POSTHOUSE_POLICY_ENDPOINTS: is missing for this."
        )
    question = ExplainQuestion(
        octets=await _octets(request),
        sender=how.sender,
        recipients=how.recipient,
        client=how.client,
        hello=how.hello,
        auth=how.auth,
    )
    async with Asker(endpoints, PATIENCE, Explanation) as policy:
        found = await policy.ask(question)
    told: dict[str, Any] = msgspec.to_builtins(found)
    return told


async def _octets(request: Request) -> bytes:
    octets = bytearray()
    async for piece in request.stream():
        octets += piece
        if len(octets) > MAX_OCTETS:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The message has more than 5 MiB.")
    if not octets:
        raise invalid("The message is empty.")
    return bytes(octets)
