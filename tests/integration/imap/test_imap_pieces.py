"""A large attachment is fetched in a thousand pieces: each is a ranged read of its own octets."""

from __future__ import annotations

import asyncio
import base64
import random
import re
from collections.abc import AsyncIterator, Sequence
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
ODD = b"\r\n" + ENCODED[: 2 * MIB]  # base64 in lines, of which the first is empty
MIME_OCTETS = 1000  # more than the header of the part
GROUP = 4  # a piece takes no more of base64 than what its first and its last octet need


def letter(encoding: bytes, encoded: bytes) -> bytes:
    return (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee attachment\r\n--b\r\n"
        b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: %b\r\n\r\n"
        b"%b\r\n--b--\r\n" % (encoding, encoded)
    )


@dataclass(slots=True)
class Counted:
    """What was read of the store."""

    blobs: Blobs
    whole: int = 0
    octets: int = 0
    reads: int = 0

    async def get(self, key: str) -> bytes:
        self.whole += 1
        return await self.blobs.get(key)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        self.whole += len(keys)
        return await self.blobs.get_many(keys)

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        self.octets += end - start
        self.reads += 1
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
    async with asyncio.timeout(60):
        for start in range(0, size, step):
            [piece, answer] = await user.say(f"FETCH 1 {item}<{start}.{step}>")
            assert answer.startswith(b"OK"), answer
            pieces.append(literal(piece))
    return b"".join(pieces)


@asynccontextmanager
async def reading(
    pool: Pool, folder: Path, encoding: bytes, encoded: bytes
) -> AsyncIterator[tuple[User, Counted]]:
    """Open a mailbox with one letter."""
    account = await add_reader(pool)
    limits = replace(LIMITS, message_octets=50 * MIB)
    async with gateway(pool, folder, limits=limits) as house, counting(house) as counted:
        await house.deliver(account, letter(encoding, encoded))
        user = await house.connect()
        await user.login()
        await user.say("SELECT INBOX")
        yield user, counted


async def test_pieces_cost_what_they_hold(pool: Pool, tmp_path: Path) -> None:
    async with reading(pool, tmp_path, b"base64", ENCODED) as (user, counted):
        got = await pieces_of(user, "BODY.PEEK[2]", len(ENCODED))

        assert got == ENCODED
        assert counted.whole == 0
        assert counted.octets == len(got)


async def test_decoded_pieces_cost_what_they_hold_once_all_is_known(
    pool: Pool, tmp_path: Path
) -> None:
    async with reading(pool, tmp_path, b"base64", ENCODED) as (user, counted):
        [size, _] = await user.say("FETCH 1 BINARY.SIZE[2]")
        assert size == b"* 1 FETCH (BINARY.SIZE[2] %d)" % len(ATTACHED)
        once = len(ENCODED) + MIME_OCTETS
        assert counted.octets <= once

        counted.octets = 0
        got = await pieces_of(user, "BINARY.PEEK[2]", len(ATTACHED))

        assert got == ATTACHED
        assert counted.whole == 0
        assert counted.octets <= len(ENCODED) + PIECES * 2 * GROUP

        counted.octets = 0
        [all_of_it, _] = await user.say("FETCH 1 BINARY.PEEK[2]")
        assert literal(all_of_it) == ATTACHED
        assert counted.octets <= len(ENCODED) + PIECES * 2 * GROUP


@pytest.mark.parametrize(("encoding", "encoded", "decoded"), [
    (b"8bit", b"as it is\r\n" * 100_000, b"as it is\r\n" * 100_000),
    (b"quoted-printable", b"a=20b=\r\n" * 100_000, b"a b" * 100_000),
    (b"base64", ODD, base64.b64decode(ODD)),
])  # fmt: skip
async def test_other_pieces_decode_once(
    pool: Pool, tmp_path: Path, encoding: bytes, encoded: bytes, decoded: bytes
) -> None:
    async with reading(pool, tmp_path, encoding, encoded) as (user, counted):
        got = await pieces_of(user, "BINARY.PEEK[2]", len(decoded))
        assert got == decoded
        assert counted.octets <= 2 * len(encoded) + MIME_OCTETS

        [whole, _] = await user.say("FETCH 1 BINARY.PEEK[2]")
        assert literal(whole) == decoded
        assert counted.octets <= 3 * len(encoded) + MIME_OCTETS


async def test_nothing_stays_in_the_spool_for_who_fetches_all_at_once(
    pool: Pool, tmp_path: Path
) -> None:
    async with reading(pool, tmp_path, b"base64", ODD) as (user, counted):
        for item, asked in (("BINARY.SIZE[2]", 1), ("BINARY.PEEK[2]", 2), ("BINARY.SIZE[2]", 2)):
            await user.say(f"FETCH 1 {item}")
            assert asked * len(ODD) <= counted.octets <= asked * len(ODD) + 2 * MIME_OCTETS


async def test_the_sizes_of_many_parts_are_found_in_one_pass(pool: Pool, tmp_path: Path) -> None:
    head = b"--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    bodies = [b"=C3=BC" * (20 + n % 50) for n in range(999)]
    encoded = head + (b"\r\n" + head).join(bodies)
    message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n%b\r\n--b--\r\n" % encoded
    account = await add_reader(pool)
    limits = replace(LIMITS, message_octets=10 * MIB)
    async with gateway(pool, tmp_path, limits=limits) as house, counting(house) as counted:
        await house.deliver(account, message)
        user = await house.connect()
        await user.login()
        await user.say("SELECT INBOX")

        async with asyncio.timeout(10):
            asked = b" ".join(b"BINARY.SIZE[%d]" % (n + 1) for n in range(len(bodies)))
            heard, *answer = await user.say(b"FETCH 1 (" + asked + b" BINARY.SIZE[9999])")

        assert answer[0].startswith(b"OK"), heard
        told = list(map(int, re.findall(rb"SIZE\[\d+\] (\d+)", heard)))
        assert told == [2 * (20 + n % 50) for n in range(len(bodies))] + [0]
        assert counted.whole == 0
        assert counted.octets <= len(message)
        assert counted.reads <= 3
