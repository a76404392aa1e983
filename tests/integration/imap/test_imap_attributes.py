"""Ids and first words of messages stay what they were, wherever the messages go (RFC 8474, RFC 8970)."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from posthouse.storage.collecting import collect_contents
from posthouse.storage.pool import Pool
from support.imap import LETTER, User, add_reader, gateway

pytestmark = pytest.mark.integration


async def ids(user: User) -> list[tuple[bytes, bytes]]:
    lines = await user.say("FETCH 1:* (EMAILID THREADID)")
    found = [re.search(rb"EMAILID \((\w+)\) THREADID \((\w+)\)", line) for line in lines]
    return [(one[1], one[2]) for one in found if one is not None]


async def test_a_copy_has_the_ids_of_its_origin(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(account, LETTER, LETTER + b"more\r\n")
        user = await imap.connect()
        await user.login()
        await user.say("SELECT INBOX")
        here = await ids(user)
        await user.say("COPY 1 Archive")
        await user.say("MOVE 2 Archive")
        await user.say("SELECT Archive")
        assert await ids(user) == here
        assert len(set(here)) == 2
        assert not {email for email, _ in here} & {thread for _, thread in here}
        second = here[1][0].decode()
        assert (await user.say(f"SEARCH EMAILID {second}"))[0] == b"* SEARCH 2"
        thread = here[0][1].decode()
        assert (await user.say(f"SEARCH NOT THREADID {thread}"))[0] == b"* SEARCH 2"


async def test_words_are_kept_as_long_as_the_message(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(account, LETTER)
        user = await imap.connect()
        await user.login()
        await user.say("SELECT INBOX")
        assert b'PREVIEW "Hello, Anna."' in (await user.say("FETCH 1 (PREVIEW)"))[0]
        assert await pool.fetchval("select words from previews") == "Hello, Anna."
        await user.say("STORE 1 +FLAGS (\\Deleted)")
        await user.say("EXPUNGE")
        await collect_contents(pool, timedelta())
        assert await pool.fetchval("select count(*) from previews") == 0
