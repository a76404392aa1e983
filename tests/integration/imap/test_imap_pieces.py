"""A large attachment is fetched in a thousand pieces: each is a ranged read of its own octets."""

from __future__ import annotations

import asyncio
import base64
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from posthouse.blobs import Blobs
from posthouse.storage.pool import Pool
from support.imap import LIMITS, Gateway, User, add_reader, gateway

pytestmark = pytest.mark.integration

MIB = 1_048_576
PIECES = 1000
ATTACHED = random.Random(3).randbytes(15 * MIB)  # noqa: S311 - no secret; 20 MiB in base64
ENCODED = base64.encodebytes(ATTACHED).replace(b"\n", b"\r\n")
LETTER = (
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee attachment\r\n--b\r\n"
    b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + ENCODED
    + b"--b--\r\n"
)


@dataclass(slots=True)
class Counted:
    """What was read of the store."""

    blobs: Blobs
    whole: int = 0
    octets: int = 0

    async def get(self, key: str) -> bytes:
        self.whole += 1
        return await self.blobs.get(key)

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        self.octets += end - start
        return await self.blobs.get_range(key, start, end)


@asynccontextmanager
async def counting(house: Gateway) -> AsyncIterator[Counted]:
    bodies = house.house.bodies
    counted = Counted(bodies._blobs)
    bodies._blobs = counted  # type: ignore[assignment]
    yield counted
    bodies._blobs = counted.blobs


def literal(line: bytes) -> bytes:
    found = re.search(rb"~?\{(\d+)\}\r\n", line)
    assert found is not None, line[:200]
    return line[found.end() : found.end() + int(found[1])]


async def pieces_of(user: User, item: str, size: int) -> bytes:
    step = size // PIECES + 1
    pieces = []
    for start in range(0, size, step):
        [piece, answer] = await user.say(f"FETCH 1 {item}<{start}.{step}>")
        assert answer.startswith(b"OK"), answer
        pieces.append(literal(piece))
    return b"".join(pieces)


async def test_pieces_cost_what_they_hold(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    limits = replace(LIMITS, message_octets=50 * MIB)
    async with gateway(pool, tmp_path, limits=limits) as house, counting(house) as counted:
        await house.deliver(account, LETTER)
        user = await house.connect()
        await user.login()
        await user.say("SELECT INBOX")

        async with asyncio.timeout(60):
            got = await pieces_of(user, "BODY.PEEK[2]", len(ENCODED) - 2)

    assert got == ENCODED[:-2]  # the last line end belongs to the delimiter
    assert counted.whole == 0
    assert counted.octets == len(got)
