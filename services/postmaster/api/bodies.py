"""Bodies of requests that are no JSON: messages, and files, in bounded memory."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import Request

from postmaster.api.problems import Problem, invalid

MEBI = 1024 * 1024


def too_large(most: int, what: str = "message") -> Problem:
    """Return what is said of ``what`` that has more than ``most`` octets, some MiB."""
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The {what} has more than {most // MEBI} MiB."
    )


async def read_octets(request: Request, most: int, what: str = "message") -> bytes:
    """Return the body, ``most`` octets; raise `Problem` as soon as there are more."""
    octets = bytearray()
    async for piece in request.stream():
        octets += piece
        if len(octets) > most:
            raise too_large(most, what)
    return bytes(octets)


async def read_message(request: Request, most: int) -> bytes:
    """Return a message, likewise; an empty one is none."""
    octets = await read_octets(request, most)
    if not octets:
        raise invalid("The message is empty.")
    return octets
