"""The door of the API: a bearer token on everything (RFC 6750 §2.1), and a line in the log.

It stands outside the application, so that no page, no document and no error answers a stranger.
The log says method, path, status and time; never the query, a header or a body.
"""

from __future__ import annotations

import hmac
import time
from http import HTTPStatus

from fastapi import HTTPException
from pydantic import SecretStr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from posthouse.telemetry import metrics
from posthouse.telemetry.logs import get_logger
from postmaster.api.problems import problem_response

MAX_BODY_OCTETS = 4 * 1024 * 1024  # an import of a thousand accounts has some 100 KiB
CHALLENGE = 'Bearer realm="posthouse"'  # RFC 6750 §3

_requests = metrics.counter(
    "posthouse_postmaster_requests_total", "API requests answered", "status"
)
_STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")

log = get_logger()


def bears(scope: Scope, token: bytes) -> bool:
    """True if the request carries ``token``; takes the same time for every wrong one."""
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, credential = given.partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(credential.strip(), token)


def bounded(receive: Receive) -> Receive:
    """Return ``receive`` as it refuses a body of more than `MAX_BODY_OCTETS`."""
    taken = 0

    async def counting() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MAX_BODY_OCTETS:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"A request may have {MAX_BODY_OCTETS} octets at most.",
            )
        return message

    return counting


class Guard:
    """Lets only bearers of the token through to ``app``."""

    def __init__(self, app: ASGIApp, token: SecretStr) -> None:
        self._app = app
        self._token = token.get_secret_value().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (the ASGI interface); other kinds of scope are passed on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._answer(scope, receive, noting)
        finally:
            _requests.labels(_STATUS_CLASSES[status // 100 - 1]).inc()
            log.info(
                "request answered",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round((time.monotonic() - began) * 1000, 1),
            )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if bears(scope, self._token):
            await self._app(scope, bounded(receive), send)
            return
        refusal = problem_response(
            HTTPStatus.UNAUTHORIZED,
            "Give the API's token as a bearer token.",
            headers={"WWW-Authenticate": CHALLENGE},
        )
        await refusal(scope, receive, send)
