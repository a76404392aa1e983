"""Who reads one message after the other is answered from memory: what comes next was read ahead."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from imap_gateway.memory import contents
from posthouse.blobs.disk import DiskBlobs
from posthouse.storage.pool import Pool
from support.imap import User, add_reader, gateway

pytestmark = pytest.mark.integration

P = ParamSpec("P")
R = TypeVar("R")

LETTERS = [b"Subject: %d\r\n\r\nletter %d\r\n" % (n, n) for n in range(1, 41)]
READ_AT_ONCE = 33  # one and those that are read ahead


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return how often the store and the database are asked, by what does it."""
    calls: Counter[str] = Counter()

    def counted(work: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        @wraps(work)
        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            calls[work.__name__] += 1
            return await work(*args, **kwargs)

        return call

    for name in ("read_column", "read_places"):
        monkeypatch.setattr(contents, name, counted(getattr(contents, name)))
    for name in ("get", "get_many"):
        monkeypatch.setattr(DiskBlobs, name, counted(getattr(DiskBlobs, name)))
    return calls


@asynccontextmanager
async def reading(pool: Pool, folder: Path) -> AsyncIterator[User]:
    """Open a mailbox of forty letters."""
    account = await add_reader(pool)
    async with gateway(pool, folder) as house:
        await house.deliver(account, *LETTERS)
        user = await house.connect()
        await user.login()
        await user.say("SELECT INBOX")
        yield user


@pytest.mark.parametrize("order", [range(1, 41), range(40, 0, -1)], ids=["up", "down"])
async def test_whole_letters_one_by_one_are_read_in_few_turns(
    pool: Pool, tmp_path: Path, asked: Counter[str], order: range
) -> None:
    async with reading(pool, tmp_path) as user:
        for number in order:
            [line, answer] = await user.say(f"FETCH {number} BODY.PEEK[]")
            assert line.endswith(b"\r\n\r\nletter %d\r\n)" % number)
            assert answer.startswith(b"OK")

    assert asked["read_places"] <= 2 + len(LETTERS) // READ_AT_ONCE
    assert asked["get"] + asked["get_many"] <= 2 + len(LETTERS) // READ_AT_ONCE


async def test_headers_one_by_one_are_read_in_few_turns(
    pool: Pool, tmp_path: Path, asked: Counter[str]
) -> None:
    async with reading(pool, tmp_path) as user:
        for number in range(1, 41):
            [line, _] = await user.say(f"UID FETCH {number} BODY.PEEK[HEADER.FIELDS (SUBJECT)]")
            assert b"Subject: %d\r\n" % number in line

    assert asked["read_column"] <= 2 + len(LETTERS) // READ_AT_ONCE


async def test_who_jumps_about_is_read_nothing_ahead(
    pool: Pool, tmp_path: Path, asked: Counter[str]
) -> None:
    jumps = [7, 30, 12, 39, 3]
    async with reading(pool, tmp_path) as user:
        for number in jumps:
            await user.say(f"FETCH {number} BODY.PEEK[]")

    assert asked["get"] == len(jumps)
    assert asked["get_many"] == 0


async def test_many_letters_at_once_are_read_in_one_turn(
    pool: Pool, tmp_path: Path, asked: Counter[str]
) -> None:
    async with reading(pool, tmp_path) as user:
        *lines, _ = await user.say("FETCH 1:* BODY.PEEK[]")

    assert [line.rpartition(b"\r\n\r\n")[2] for line in lines] == [
        b"letter %d\r\n)" % n for n in range(1, 41)
    ]
    assert asked["get_many"] == 1
    assert asked["get"] == 0
