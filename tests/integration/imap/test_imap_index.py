"""Searches before and after the indexer has seen the messages: the same answers, from elsewhere."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from imap_gateway.searching import texts
from posthouse.bus.connection import connect
from posthouse.bus.indexing import work_off
from posthouse.bus.publisher import Publisher
from posthouse.mail.ids import new_id
from posthouse.mime.folding import fold
from posthouse.mime.indexed import gram_keys, wanted_keys
from posthouse.storage import indexing
from posthouse.storage.pool import Pool
from posthouse.telemetry.probes import Probes
from postmaster.indexing.offering import Offers
from support.documents import attached, docx
from support.imap import Gateway, User, add_reader, gateway
from support.indexing import due, index_all, index_marked, indexer
from support.postmaster import until

pytestmark = pytest.mark.integration

LETTERS = [
    ("Donaudampfschifffahrt", "Die Gebühren für die GRÖSSE der Straße steigen."),
    ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "plain words, 42 of them"),
    ("=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "会議は東京で開催されます。"),
    ("percent 100%_sure", "back\\slash and a_b"),
]
QUESTIONS = {
    "TEXT dampfschiff": [1],
    "BODY {8+}\r\ngrösse": [1],
    "BODY {8+}\r\nstrassen": [],
    "BODY {8+}\r\nstrasse s": [1],
    "SUBJECT {7+}\r\nGRÜSSE": [2],
    "BODY {6+}\r\n東京": [3],
    "BODY {3+}\r\n京": [3],
    "SUBJECT {6+}\r\n日本": [3],
    "TEXT 42": [2],
    "BODY a_b": [4],
    'SUBJECT "100%_"': [4],
    'SUBJECT "100_"': [],
    "NOT BODY gebu": [2, 3, 4],
    "HEADER X-Kind kind1": [2],
    "FROM sender3": [4],
}


def letter(number: int, subject: str, text: str) -> bytes:
    return (
        f"From: sender{number}@x.test\r\nSubject: {subject}\r\nX-Kind: kind{number}\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    ).encode()


async def opened(house: Gateway) -> User:
    user = await house.connect()
    await user.login()
    await user.say("SELECT INBOX")
    return user


async def asked(user: User) -> dict[str, list[int]]:
    answers = {}
    for question in QUESTIONS:
        head, _brace, tail = question.partition("{")
        _size, mark, text = tail.partition("\r\n")
        said = f"{head}{{{len(text.encode())}+}}\r\n{text}" if mark else question
        [answer, _] = await user.say(f"SEARCH CHARSET UTF-8 {said}")
        answers[question] = [int(n) for n in answer.split()[2:]]
    return answers


async def test_answers_are_the_same_before_while_and_after(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house, indexer(pool, house.house.blobs) as indexes:
        letters = [letter(n, *one) for n, one in enumerate(LETTERS)]
        await house.deliver(account, *letters)
        user = await opened(house)

        assert await asked(user) == QUESTIONS
        await index_all(pool, indexes)
        assert (await indexing.backlog(pool)).waiting == 0
        assert await pool.fetchval("select count(*) from search where grams is not null") == 4
        assert await asked(user) == QUESTIONS


async def test_bodies_that_are_not_indexed_are_looked_into_and_left_to_the_indexer(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house, indexer(pool, house.house.blobs) as indexes:
        await house.deliver(account, *(letter(n, *one) for n, one in enumerate(LETTERS)))
        await house.deliver(account, letter(4, "large", "filler\r\n" * 12_000 + "needle"))
        await pool.execute(
            "update contents set object_id = $1 where content_id = "
            "(select content_id from messages where uid = 2)",
            new_id(),  # of an object that is not there
        )
        user = await opened(house)

        assert (await user.say("SEARCH OR BODY needle TEXT dampfschiff"))[0] == b"* SEARCH 1 5"
        assert (await user.say("SEARCH BODY e NOT BODY a_b"))[0] == b"* SEARCH 1 5"
        assert (await user.say("SEARCH NOT BODY needle"))[0] == b"* SEARCH 1 2 3 4"
        assert await pool.fetchval("select count(body_f) from search") == 0
        await index_marked(pool, indexes)
        assert (await user.say("SEARCH OR BODY needle TEXT dampfschiff"))[0] == b"* SEARCH 1 5"
        assert await pool.fetchval("select count(grams) from search") == 5


async def test_many_messages_are_found_by_their_grams(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house, indexer(pool, house.house.blobs) as indexes:
        for n in range(0, 2100, 100):
            await house.deliver(account, *(letter(n + i, *LETTERS[1]) for i in range(100)))
        await index_all(pool, indexes)
        await house.deliver(account, letter(9999, "latest", "needle"), letter(1, "x", "y"))
        user = await opened(house)

        assert (await user.say("SEARCH BODY needle"))[0] == b"* SEARCH 2101"
        assert (await user.say("SEARCH TEXT sender1777"))[0] == b"* SEARCH 1778"
        assert (await user.say("SEARCH RETURN (COUNT) TEXT sender1"))[0].endswith(b"COUNT 1112")
        assert (await user.say("SEARCH HEADER X-Kind kind1777"))[0] == b"* SEARCH 1778"
        await index_all(pool, indexes)
        assert (await user.say("SEARCH BODY needle"))[0] == b"* SEARCH 2101"


async def test_work_comes_by_the_queue(pool: Pool, tmp_path: Path, broker_url: str) -> None:
    account = await add_reader(pool)
    async with (
        gateway(pool, tmp_path) as house,
        indexer(pool, house.house.blobs) as indexes,
        connect(broker_url, Probes(), "test") as broker,
    ):
        await house.deliver(account, letter(0, *LETTERS[0]))
        await broker.wait_until_up()
        publisher = Publisher(broker)
        working = asyncio.ensure_future(
            work_off(broker, publisher, indexes.index, beat=Probes().progress("index"))
        )
        await indexing.keep_marks(pool, None)
        await Offers(pool, publisher).look()
        await until(lambda: _is_done(pool), "all is indexed")
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_only_those_are_indexed_who_search_texts(pool: Pool, tmp_path: Path) -> None:
    within = timedelta(days=90)
    account, other = await add_reader(pool), await add_reader(pool, "other")
    async with gateway(pool, tmp_path) as house, indexer(pool, house.house.blobs) as indexes:
        for each in (account, other):
            await house.deliver(each, letter(0, *LETTERS[0]))
        user = await opened(house)
        await user.say("SEARCH FROM sender0")
        assert await due(pool) == []
        assert (await indexing.backlog(pool)).waiting == 0
        assert await pool.fetchval("select count(*) from unindexed") == 0

        assert (await user.say("SEARCH BODY steigen"))[0] == b"* SEARCH 1"
        assert (await indexing.backlog(pool)).waiting == 1
        for each in (account, other):
            await house.deliver(each, letter(1, *LETTERS[1]))
        assert await pool.fetchval("select array_agg(account_id) from unindexed") == [account]
        [work] = await due(pool)
        assert work.accounts == (account,)
        assert await indexes.index(work) == []
        assert await pool.fetch("select account_id, count(*) from search where grams is not null"
                                " group by 1") == [(account, 2)]  # fmt: skip
        assert (await indexing.backlog(pool)).waiting == 0

        await pool.execute("update searchers set last_on = current_date - 90")
        await indexing.keep_marks(pool, within)
        assert await pool.fetchval("select count(*) from searchers") == 1
        await house.deliver(account, letter(2, *LETTERS[2]))
        await pool.execute("update searchers set last_on = current_date - 91")
        await indexing.keep_marks(pool, within)
        assert await pool.fetchval("select count(*) from searchers") == 0
        assert await pool.fetchval("select count(*) from unindexed") == 0


async def test_all_are_indexed_when_told_so_and_no_more_when_told_otherwise(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house, indexer(pool, house.house.blobs) as indexes:
        await house.deliver(account, letter(0, *LETTERS[0]))
        await index_all(pool, indexes)
        await house.deliver(account, letter(1, *LETTERS[1]))
        await index_marked(pool, indexes)
        assert await pool.fetchval("select count(*) from search where grams is not null") == 2

        await indexing.keep_marks(pool, timedelta(days=90))
        await house.deliver(account, letter(2, *LETTERS[2]))
        await index_marked(pool, indexes)
        assert await pool.fetchval("select count(*) from search where grams is not null") == 2


async def test_documents_are_searched_before_and_after_they_are_indexed(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house, indexer(pool, house.house.blobs) as indexes:
        await house.deliver(account, attached("report.docx", docx("Quartals", "zahlen")))
        user = await opened(house)
        assert (await user.say("SEARCH BODY quartalszahlen"))[0] == b"* SEARCH 1"
        assert (await user.say("SEARCH BODY nothing"))[0] == b"* SEARCH"
        await index_all(pool, indexes)

        assert (await user.say("SEARCH BODY quartalszahlen"))[0] == b"* SEARCH 1"
        assert (await user.say("SEARCH TEXT report.docx"))[0] == b"* SEARCH 1"


async def test_documents_for_which_no_time_was_left_are_told_and_searched_next(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house:
        await house.deliver(
            account,
            attached("report.docx", docx("Quartals", "zahlen")),
            letter(1, *LETTERS[1]),
            attached("other.docx", docx("Jahreszahlen")),
        )
        user = await opened(house)
        warning = b"* NO [LIMIT] Documents in 2 messages not searched yet, search again"
        with monkeypatch.context() as hasty:
            hasty.setattr(texts, "DOCUMENT_SECONDS", 0.0)
            for _ in range(2):
                assert (await user.say("SEARCH BODY quartalszahlen"))[:2] == [warning, b"* SEARCH"]
            assert (await user.say("SEARCH BODY 42"))[:2] == [warning, b"* SEARCH 2"]
            assert (await user.say("SEARCH OR BODY xyz TEXT report.docx"))[1] == b"* SEARCH 1"
            few = await user.say("SEARCH 3 BODY zahlen")
            assert few[0].startswith(b"* NO [LIMIT] Documents in 1 messages")
            assert (await user.say("SEARCH SUBJECT look"))[0] == b"* SEARCH 1 3"

        assert (await user.say("SEARCH BODY quartalszahlen"))[0] == b"* SEARCH 1"
        assert (await user.say("SEARCH BODY zahlen"))[0] == b"* SEARCH 1 3"


async def test_documents_for_which_no_time_was_left_are_found_once_indexed(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "DOCUMENT_SECONDS", 0.0)
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house, indexer(pool, house.house.blobs) as indexes:
        await house.deliver(account, attached("report.docx", docx("Quartals", "zahlen")))
        user = await opened(house)
        assert (await user.say("SEARCH BODY quartalszahlen"))[1] == b"* SEARCH"
        await index_marked(pool, indexes)

        assert (await user.say("SEARCH BODY quartalszahlen"))[0] == b"* SEARCH 1"


async def _is_done(pool: Pool) -> bool:
    return not (await indexing.backlog(pool)).waiting


async def test_a_message_that_is_gone_is_forgotten(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house, indexer(pool, house.house.blobs) as indexes:
        await house.deliver(account, letter(0, *LETTERS[0]))
        await pool.execute("delete from contents where account_id = $1", account)
        await index_all(pool, indexes)

        assert (await indexing.backlog(pool)).waiting == 0


@pytest.mark.parametrize("text", ["abc", "Größe", "東京", "a b c def", "日本語 text", "x" * 5000])
def test_what_contains_a_text_has_its_grams(text: str) -> None:
    whole = gram_keys(7, fold(f"before{text}after"))

    assert whole is not None
    assert set(wanted_keys(7, fold(text))) <= set(whole)
    assert set(wanted_keys(7, fold("東京"))).isdisjoint(wanted_keys(8, fold("東京")))
