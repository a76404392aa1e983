"""The player of conversations finds what departs from the script, and only that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from support.dialogue import play


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"+OK echo ready\r\n")
    while line := await reader.readline():
        if line == b"quit\r\n":
            break
        writer.write(b"* " + line.rstrip(b"\r\n").replace(b"\0", b"NUL") + b"\r\n")
    writer.close()
    await writer.wait_closed()


@pytest.fixture
async def streams() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with await asyncio.start_server(_echo, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        yield reader, writer
        writer.close()
        await writer.wait_closed()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def test_a_conversation_that_agrees_is_played_to_its_end(streams: Streams) -> None:
    script = "# greeting\nS: +OK … ready\n\nC: a\nC: $b\nS* * bee\nC! \\x00\\n\nS: * NUL\nC: quit\nS: [closes]"

    await play(script, *streams, b="bee")


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("S: +OK … ready\nC: a\nS: * b", "line 3"),
        ("S: +OK", "line 1"),
        ("S: +OK …\nC: quit\nS: * anything", "line 3"),
        ("S: [closes]", "line 1"),
        ("X: what", "line 1"),
    ],
)
async def test_a_departure_names_its_line(streams: Streams, script: str, line: str) -> None:
    with pytest.raises(AssertionError, match=line):
        await play(script, *streams)
