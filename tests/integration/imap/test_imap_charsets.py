"""Letters in all charsets, found by their words through a real server, before and after they are indexed."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.mime.folding import fold
from posthouse.storage.pool import Pool
from support.golden_charsets import CASES, letter
from support.imap import User, add_reader, gateway
from support.indexing import index_all, indexer

pytestmark = pytest.mark.integration

FORMS = {"base64": "BODY", "subject-q": "HEADER SUBJECT", "name": "HEADER CONTENT-DISPOSITION"}
PLACES = [(form, text) for form in FORMS for _, _, text in CASES]


async def check_words(user: User) -> None:
    """Every word is found where it stands, and where another has it, too."""
    for form, key in FORMS.items():
        for text in {text for _, _, text in CASES}:
            asked = text.upper().encode()
            [answer, _] = await user.say(
                b"SEARCH CHARSET UTF-8 %b {%d+}\r\n%b" % (key.encode(), len(asked), asked)
            )
            assert [int(n) for n in answer.split()[2:]] == [
                n
                for n, (there, word) in enumerate(PLACES, 1)
                if there == form and fold(text) in fold(word)
            ]


async def test_words_in_all_charsets_are_found(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house, indexer(pool, house.house.blobs) as indexes:
        await house.deliver(
            account,
            *(letter(form, charset, octets) for form in FORMS for charset, octets, _ in CASES),
        )
        user = await house.connect()
        await user.login()
        await user.say("SELECT INBOX")
        await check_words(user)
        await index_all(pool, indexes)

        assert await pool.fetchval("select count(*) from search where grams is null") == 0
        await check_words(user)
