"""Errors as problem details: ``application/problem+json`` (RFC 9457).

A problem says what went wrong in a sentence an operator understands. It never repeats the input:
a refused body may hold a password.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from posthouse.mail.address import BadAddress
from posthouse.mail.errors import MailFailure, Unavailable
from posthouse.storage.directory import (
    AlreadyThere,
    DirectoryError,
    NoSuchEntry,
    Shadowed,
    StillInUse,
    TooMany,
)
from posthouse.telemetry.logs import get_logger

MEDIA_TYPE = "application/problem+json"  # RFC 9457 §3
RETRY_AFTER_SECONDS = 5
# What an operator reads instead of the library's own words.
WORDS = {
    "json_invalid": "is not JSON",
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "uuid_parsing": "is not the id of a message",
    "int_parsing": "is not a whole number",
    "int_parsing_size": "is too large a number",
    "string_type": "is not a text",
    "string_unicode": "holds half a character",
}

_TEXT = {"type": "string"}


def _conflict(description: str, **members: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of a refused change, with further members of its problem."""
    properties = {"title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT, **members}
    schema = {"type": "object", "properties": properties}
    told = {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}
    return {int(HTTPStatus.CONFLICT): told}


# Of a key that signs, or would.
UNSIGNED = _conflict("Mail would not be believed, or not be signed, by it: see `force`.")
# Of what would let mail go astray.
SHADOWED = _conflict(
    "It is there already, or somebody would get no mail by it: see `force`.",
    addresses={
        "type": "array",
        "description": "All that `force` would be needed for.",
        "items": {"type": "object", "properties": {"address": _TEXT, "reason": _TEXT}},
    },
)

log = get_logger()


class Problem(Exception):
    """A refusal with its status and a sentence for the operator.

    Attributes:
        status: The HTTP status.
        detail: What is wrong and, where we know it, what to do.
        extra: Further members of the problem object (RFC 9457 §3.2).
    """

    def __init__(self, status: HTTPStatus, detail: str, **extra: object) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.extra = extra


def not_found(what: str, name: object) -> Problem:
    """Return the problem of a thing that is not there."""
    return Problem(HTTPStatus.NOT_FOUND, f"There is no {what} {name}.")


def invalid(detail: str) -> Problem:
    """Return the problem of a value that cannot be taken."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def problem_body(status: HTTPStatus, detail: str, extra: Mapping[str, object]) -> bytes:
    """Return the problem object; without a type of its own it is ``about:blank`` (§4.2.1)."""
    return orjson.dumps({"title": status.phrase, "status": int(status), "detail": detail, **extra})


def problem_response(
    status: HTTPStatus,
    detail: str,
    *,
    extra: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the response that carries a problem."""
    return Response(
        problem_body(status, detail, extra or {}), int(status), headers, media_type=MEDIA_TYPE
    )


async def _on_problem(_: Request, problem: Exception) -> Response:
    if not isinstance(problem, Problem):
        raise problem
    return problem_response(problem.status, problem.detail, extra=problem.extra)


async def _on_http(_: Request, failure: Exception) -> Response:
    if not isinstance(failure, HTTPException):
        raise failure
    return problem_response(
        HTTPStatus(failure.status_code), str(failure.detail), headers=failure.headers
    )


async def _on_bad_input(_: Request, failure: Exception) -> Response:
    if not isinstance(failure, RequestValidationError):
        raise failure
    faults = [fault_of(error) for error in failure.errors()]
    detail = "; ".join(f"{fault['where']}: {fault['what']}" for fault in faults)
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, f"{detail}.", extra={"errors": faults})


def fault_of(error: Mapping[str, Any]) -> dict[str, str]:
    """Return where a body or a query is wrong and why, without repeating what it held."""
    kind, where = str(error.get("type")), tuple(error.get("loc", ()))
    if kind == "json_invalid":
        where = ()  # only an offset, which looks like an index
    return {
        "where": ".".join(map(str, where[1:])) or "body",
        "what": WORDS.get(kind) or str(error.get("msg", "not valid")).removeprefix("Value error, "),
    }


async def _on_mail_failure(_: Request, failure: Exception) -> Response:
    if isinstance(failure, Unavailable):
        log.warning("request refused for an outage", reason=str(failure))
        return problem_response(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"A part of the house does not answer: {failure}.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    if isinstance(failure, MailFailure):
        return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, f"{failure}.")
    raise failure


async def _on_refused_change(_: Request, failure: Exception) -> Response:
    match failure:
        case Shadowed(shadows=shadows):
            extra = {"addresses": [asdict(shadow) for shadow in shadows]}
            return problem_response(HTTPStatus.CONFLICT, f"{failure}.", extra=extra)
        case NoSuchEntry():
            status = HTTPStatus.NOT_FOUND
        case AlreadyThere() | StillInUse() | TooMany():
            status = HTTPStatus.CONFLICT
        case DirectoryError() | BadAddress():
            status = HTTPStatus.UNPROCESSABLE_ENTITY
        case _:
            raise failure
    return problem_response(status, sentence(str(failure)))


def sentence(text: str) -> str:
    """Return what a storage room said as a sentence."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


async def _on_bug(_: Request, __: Exception) -> Response:
    return problem_response(
        HTTPStatus.INTERNAL_SERVER_ERROR, "That is a fault of ours; the log tells more."
    )


def speak_of_problems(app: FastAPI) -> None:
    """Make every error of ``app`` a problem object."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_bad_input)
    app.add_exception_handler(MailFailure, _on_mail_failure)
    app.add_exception_handler(DirectoryError, _on_refused_change)
    app.add_exception_handler(BadAddress, _on_refused_change)
    app.add_exception_handler(Exception, _on_bug)  # it goes on to the listener, which logs it
