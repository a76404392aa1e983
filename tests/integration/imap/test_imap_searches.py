"""Searches that are hard work, and what other sessions changed meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from imap_gateway.searching import finding
from posthouse.storage.pool import Pool
from support.imap import LETTER, add_reader, gateway

pytestmark = pytest.mark.integration


async def longest_pause(during: asyncio.Task[list[bytes]]) -> float:
    """Return the longest time for which the event loop served nobody."""
    longest, clock = 0.0, asyncio.get_running_loop().time
    while not during.done():
        before = clock()
        await asyncio.sleep(0.001)
        longest = max(longest, clock() - before)
    return longest


async def test_a_search_of_many_keys_holds_up_nobody(pool: Pool, tmp_path: Path) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as house:
        user = await house.connect()
        await user.login()
        await user.say("SELECT INBOX")
        await user.append("INBOX", LETTER)
        for _ in range(13):  # 8192 messages
            await user.say("COPY 1:* INBOX")
        heavy = b"SEARCH " + b"NOT ANSWERED " * 1500 + b"ANSWERED"
        search = asyncio.create_task(user.say(heavy))
        pause = await longest_pause(search)

        assert (await search)[0] == b"* SEARCH"
        assert pause < 0.2


async def test_a_search_for_too_many_texts_is_refused(pool: Pool, tmp_path: Path) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as house:
        user = await house.connect()
        await user.login()
        await user.say("SELECT INBOX")

        texts = b"".join(b" TEXT word%d" % n for n in range(60))

        assert (await user.say(b"SEARCH" + texts))[-1].startswith(b"NO [LIMIT] ")


async def test_keywords_of_another_session_are_found_and_removed(
    pool: Pool, tmp_path: Path
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as house:
        first, second = [await house.connect() for _ in range(2)]
        for user in (first, second):
            await user.login()
            await user.say("SELECT INBOX")
        await first.append("INBOX", LETTER)
        await second.say("NOOP")
        await first.say("STORE 1 +FLAGS (urgent)")

        assert (await second.say("SEARCH KEYWORD urgent"))[0] == b"* SEARCH 1"
        await first.say("STORE 1 +FLAGS (later)")
        await second.say("STORE 1 -FLAGS.SILENT (later)")
        assert b"later" not in (await second.say("FETCH 1 FLAGS"))[0]


async def test_a_search_by_more_keys_than_can_be_tested_is_refused(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "MAX_TESTS", 5)
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(account, LETTER, LETTER)
        user = await imap.connect()
        await user.login()
        await user.say("SELECT INBOX")
        assert (await user.say("SEARCH UNSEEN UNSEEN"))[0] == b"* SEARCH 1 2"
        for line in (
            "SEARCH UNSEEN OR UNSEEN NOT UNSEEN",
            "UID SORT (SUBJECT) UTF-8 UNSEEN UNSEEN UNSEEN",
            "ESEARCH IN (personal) UNSEEN UNSEEN UNSEEN",
        ):
            assert (await user.say(line))[-1].startswith(b"NO [LIMIT]"), line
