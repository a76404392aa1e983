"""The first search of headers folds only those that may have the text; the others are folded later."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from imap_gateway.searching import lookups
from imap_gateway.searching.covering import keep_covering
from posthouse.storage.pool import Pool
from support.imap import add_reader, gateway

pytestmark = pytest.mark.integration

_FOLDED = "select count(*)::int from search where account_id = $1"
_LETTERS = (
    b"From: Anna Adler <a@example.test>\r\nSubject: one\r\n\r\n.\r\n",
    b"From: =?utf-8?q?J=C3=BCrgen?= <j@example.test>\r\nSubject: two\r\n\r\n.\r\n",
    b"From: Bert <b@example.test>\r\nSubject: three\r\n\r\n.\r\n",
    b"From: Carl <c@example.test>\r\nSubject: four\r\n X-None: anna\r\n\r\n.\r\n",
)


@pytest.fixture
def _all_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "FEW_MESSAGES", 0)


@pytest.mark.usefixtures("_all_are_many")
async def test_what_cannot_match_is_folded_when_the_search_was_answered(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(account, *_LETTERS)
        user = await imap.connect()
        await user.login()
        await user.say("SELECT INBOX")

        assert (await user.say('SEARCH FROM "anna"'))[0] == b"* SEARCH 1"
        assert await pool.fetchval(_FOLDED, account) == 3  # one is plain and has no Anna
        assert (await user.say("SEARCH CHARSET UTF-8 FROM {7+}\r\nJürgen"))[0] == b"* SEARCH 2"
        assert (await user.say('SEARCH HEADER SUBJECT "anna"'))[0] == b"* SEARCH 4"
        assert (await user.say('SEARCH FROM "bert"'))[0] == b"* SEARCH 3"
        assert (await user.say('SEARCH NOT FROM "bert"'))[0] == b"* SEARCH 1 2 4"


@pytest.mark.usefixtures("_all_are_many")
async def test_the_rest_is_folded_in_the_background(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap, asyncio.TaskGroup() as tasks:
        await imap.deliver(account, *_LETTERS)
        user = await imap.connect()
        await user.login()
        await user.say("SELECT INBOX")
        covering = tasks.create_task(keep_covering(imap.house))

        assert (await user.say('SEARCH FROM "nobody"'))[0] == b"* SEARCH"
        async with asyncio.timeout(20):
            while await pool.fetchval(_FOLDED, account) != len(_LETTERS):  # noqa: ASYNC110 - a duty tells nobody
                await asyncio.sleep(0.01)
        covering.cancel()
