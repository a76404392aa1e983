"""A client that ends its half of the connection hears the answers to all it has said."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from posthouse.storage.pool import Pool
from support.imap import LETTER, PASSWORD, Gateway, add_reader, gateway

pytestmark = pytest.mark.integration

LARGE = b"Subject: large\r\n\r\n" + b"x" * 76 * 40_000  # more than all buffers on the way hold
LOGIN = f'a LOGIN anna@example.test "{PASSWORD}"\r\n'.encode()


def said_and_heard(port: int, *said: bytes) -> bytes:
    """Say it, shut down the writing half, and return what is heard until the server ends it."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        for octets in said:
            client.sendall(octets)
        client.shutdown(socket.SHUT_WR)
        heard = b""
        while more := client.recv(65_536):
            heard += more
        return heard


async def heard(imap: Gateway, *said: bytes) -> bytes:
    return await asyncio.to_thread(said_and_heard, imap.ports[0], *said)


async def test_all_commands_before_the_end_are_answered(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(account, LARGE, LETTER)

        told = await heard(
            imap,
            LOGIN + b"b SELECT INBOX\r\nc FETCH 1:2 BODY.PEEK[]\r\n",
            b"d APPEND INBOX {%d+}\r\n" % len(LETTER) + LETTER + b"\r\n",
            b"".join(b"e%d UID FETCH 2 FLAGS\r\n" % n for n in range(500)),
            b"f SEARCH TEXT Anna\r\ng NOOP\r\n",
        )

        for tag in (b"a", b"b", b"c", b"d", *(b"e%d" % n for n in range(500)), b"f", b"g"):
            assert told.count(b"\r\n" + tag + b" OK ") == 1, tag
        assert LARGE in told
        assert b"\r\n* SEARCH 2 3\r\n" in told
        assert told.endswith(b"g OK done\r\n")
        assert not imap.house.guests


@pytest.mark.parametrize(
    ("last", "end"),
    [
        (b"i IDLE\r\n", b"+ idling\r\n"),  # nobody can say DONE any more
        (b"i APPEND INBOX {10+}\r\nfive", b"] Logged in\r\n"),
        (b"i NOOP", b"] Logged in\r\n"),
        (b"i LOGOUT\r\nj NOOP\r\n", b"i OK LOGOUT done\r\n"),
    ],
)
async def test_what_cannot_be_ended_any_more_ends_with_the_client(
    pool: Pool, tmp_path: Path, last: bytes, end: bytes
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        assert (await heard(imap, LOGIN + last)).endswith(end)


async def test_a_challenge_that_nobody_will_answer_ends_the_session(
    pool: Pool, tmp_path: Path
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        assert (await heard(imap, b"a AUTHENTICATE PLAIN\r\n")).endswith(b"\r\n+ \r\n")
