"""APPEND and REPLACE: all or nothing, also where the quota ends in their midst."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.storage.pool import Pool
from support.imap import LETTER, LIMITS, User, add_reader, check_sums, gateway

pytestmark = pytest.mark.integration

KIB = 1024


def letter(number: int, size: int) -> bytes:
    head = b"Subject: %d\r\n\r\n" % number
    return head + b"x" * (size - len(head))


async def messages(user: User) -> bytes:
    return (await user.say("STATUS INBOX (MESSAGES UIDNEXT)"))[0]


async def append_all(user: User, *letters: bytes) -> bytes:
    """Append several by one command; return the tagged answer."""
    literals = b"".join(b" {%d+}\r\n" % len(one) + one for one in letters)
    return (await user.say(b"APPEND INBOX" + literals))[-1]


async def test_several_messages_come_together_or_not_at_all(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool, quota=10 * KIB)
    async with gateway(pool, tmp_path) as house:
        user = await house.connect()
        await user.login()

        answer = await append_all(user, *(letter(n, 4 * KIB) for n in range(3)))

        assert answer.startswith(b"NO [OVERQUOTA]")
        assert await messages(user) == b"* STATUS INBOX (MESSAGES 0 UIDNEXT 1)"
        answer = await append_all(user, letter(0, 4 * KIB), letter(1, 4 * KIB))
        assert answer.startswith(b"OK [APPENDUID ")
        assert b" 1:2] " in answer
    await check_sums(pool, account)


async def test_of_a_replaced_message_only_the_difference_counts(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool, quota=10 * KIB)
    async with gateway(pool, tmp_path) as house:
        user = await house.connect()
        await user.login()
        await user.append("INBOX", letter(1, 9 * KIB))
        await user.say("SELECT INBOX")

        said = await user.say(b"REPLACE 1 INBOX {%d+}\r\n" % (9 * KIB) + letter(2, 9 * KIB))
        assert said[-1].startswith(b"OK")
        said = await user.say(b"REPLACE 1 INBOX {%d+}\r\n" % (11 * KIB) + letter(3, 11 * KIB))

        assert said[-1].startswith(b"NO [OVERQUOTA]")
        assert await messages(user) == b"* STATUS INBOX (MESSAGES 1 UIDNEXT 3)"
        assert (await user.say("FETCH 1 UID"))[0] == b"* 1 FETCH (UID 2)"
    await check_sums(pool, account)


async def test_two_who_replace_the_same_message_make_one(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house:
        await house.deliver(account, LETTER)
        users = [await house.connect() for _ in range(2)]
        for user in users:
            await user.login()
            await user.say("SELECT INBOX")

        said = await asyncio.gather(
            *(user.say(b"UID REPLACE 1 INBOX {15+}\r\nSubject: x\r\n\r\nb") for user in users)
        )

        ends = sorted(lines[-1].split(b"]")[0] for lines in said)
        assert ends == [b"NO [EXPUNGEISSUED", b"OK REPLACE done"]
        assert await messages(users[0]) == b"* STATUS INBOX (MESSAGES 1 UIDNEXT 3)"
    await check_sums(pool, account)


async def test_many_messages_of_one_command_are_put_aside_and_come_whole(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    limits = replace(LIMITS, message_octets=2 * KIB * KIB)
    letters = [letter(n, size) for n, size in enumerate([100, 200_000, 300, 150_000, 130_000, 50])]
    async with gateway(pool, tmp_path, limits=limits) as house:
        user = await house.connect()
        await user.login()

        assert (await append_all(user, *letters)).startswith(b"OK [APPENDUID ")

        await user.say("SELECT INBOX")
        for number, sent in enumerate(letters, 1):
            [got, _] = await user.say(f"FETCH {number} BODY.PEEK[]")
            assert got == b"* %d FETCH (BODY[] {%d}\r\n" % (number, len(sent)) + sent + b")"
        nul = letter(9, 140_000).replace(b"xxx", b"x\0x", 1)
        assert (await append_all(user, letters[0], nul)) == b"BAD NUL in a literal"
        assert await messages(user) == b"* STATUS INBOX (MESSAGES 6 UIDNEXT 7)"
        assert house.house.budget.held == 0
    await check_sums(pool, account)
