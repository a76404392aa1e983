"""Bodies of requests: read to a bound, in pieces of any size."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.requests import Request
from starlette.types import Message

from postmaster.api.bodies import MEBI, read_message, read_octets
from postmaster.api.problems import Problem


def request(*pieces: bytes) -> Request:
    def messages() -> Iterator[Message]:
        for piece in pieces:
            yield {"type": "http.request", "body": piece, "more_body": True}
        yield {"type": "http.request", "body": b"", "more_body": False}

    coming = messages()

    async def receive() -> Message:
        return next(coming)

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


async def test_a_body_is_read_to_its_bound_and_no_further() -> None:
    half, never = bytes(MEBI // 2), b"it would not be read"

    assert await read_message(request(half, half), MEBI) == half + half
    with pytest.raises(Problem, match=r"The file has more than 1 MiB\.") as told:
        await read_octets(rest := request(half, half, b"x", never), MEBI, "file")
    assert told.value.status == 413
    assert (await rest.receive())["body"] == never


async def test_an_empty_message_is_none() -> None:
    with pytest.raises(Problem, match="empty"):
        await read_message(request(), MEBI)
    assert await read_octets(request(), MEBI) == b""
