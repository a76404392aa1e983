"""FETCH BINARY of large messages: in pieces, and nothing by halves."""

from __future__ import annotations

import base64
import random
from pathlib import Path

import pytest

from posthouse.storage.pool import Pool
from support.imap import add_reader, gateway

pytestmark = pytest.mark.integration

OCTETS = random.Random(1).randbytes(1_000_000)  # noqa: S311 - any that are not text
LARGE = (
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(OCTETS).replace(b"\n", b"\r\n")
    + b"--b\r\nContent-Transfer-Encoding: x-unheard-of\r\n\r\nabc\r\n--b--\r\n"
)


async def test_a_large_part_comes_decoded_whole_and_in_parts(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house:
        await house.deliver(account, LARGE)
        user = await house.connect()
        await user.login()
        await user.say("SELECT INBOX")

        await user.send(b"b FETCH 1 (BINARY.PEEK[1] BINARY.SIZE[1])\r\n")
        assert await user.reader.readline() == b"* 1 FETCH (BINARY[1] ~{1000000}\r\n"
        assert await user.reader.readexactly(len(OCTETS)) == OCTETS
        assert await user.hear() == b" BINARY.SIZE[1] 1000000)"
        assert (await user.hear()).startswith(b"b OK")

        await user.send(b"c FETCH 1 BINARY.PEEK[1]<600000.500000>\r\n")
        assert await user.reader.readline() == b"* 1 FETCH (BINARY[1]<600000> ~{400000}\r\n"
        assert await user.reader.readexactly(400_000) == OCTETS[600_000:]
        assert await user.hear() == b")"


async def test_a_strange_encoding_is_refused_before_the_first_octet(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house:
        await house.deliver(account, LARGE)
        user = await house.connect()
        await user.login()
        await user.say("SELECT INBOX")

        for items in ("BODY.PEEK[] BINARY.PEEK[2]", "BINARY.PEEK[1] BINARY.SIZE[2]"):
            [answer] = await user.say(f"FETCH 1 ({items})")
            assert answer.startswith(b"NO [UNKNOWN-CTE]")
