"""Turns of the indexer: they go round among accounts, are bounded, and no message is read twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from posthouse.bus.connection import connect
from posthouse.bus.indexing import work_off
from posthouse.bus.publisher import Publisher
from posthouse.storage import indexing
from posthouse.storage.pool import Pool
from posthouse.telemetry.probes import Probes
from postmaster.indexing import indexer as indexing_of
from postmaster.indexing import turns
from postmaster.indexing.indexer import Indexer
from postmaster.indexing.offering import Offers
from support.documents import attached
from support.imap import add_reader, gateway
from support.indexing import due, index_all, indexer
from support.postmaster import until

pytestmark = pytest.mark.integration

_DONE = """
    select content_id from search where account_id = $1 and grams is not null order by content_id desc
"""
_ALL = "select content_id from contents where account_id = $1 order by content_id desc"


def letters(many: int) -> list[bytes]:
    return [f"Subject: n{n}\r\n\r\nword{n}x\r\n".encode() for n in range(many)]


async def numbers(pool: Pool, question: str, account: int) -> list[int]:
    return [row["content_id"] for row in await pool.fetch(question, account)]


def read_messages() -> float:
    """Return how many messages this process has indexed."""
    return REGISTRY.get_sample_value("posthouse_index_messages_total", {"how": "whole"}) or 0


_NOTED = "insert into unindexed (account_id, content_id, since) select $1, n, now() - ago from unnest($2::interval[]) with ordinality as u (ago, n)"


@pytest.mark.parametrize(("ages", "has_turn"), [((5, 0), False), ((5, 3), True), ((21, 0), True)])
async def test_an_account_has_its_turn_when_what_comes_has_rested(
    pool: Pool, ages: tuple[int, ...], *, has_turn: bool
) -> None:
    account = await add_reader(pool)
    await pool.execute("insert into searchers (account_id, below) values ($1, 0)", account)
    await pool.execute(_NOTED, account, [timedelta(hours=age) for age in ages])
    waiting = await indexing.waiting_accounts(pool, 0, 10)
    given, _ = await indexing.give_turns(pool, waiting, 10, timedelta(days=2), timedelta(hours=2))
    assert given == [account] * has_turn


async def test_older_messages_come_in_portions_from_the_newest_down(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "MESSAGES_IN_A_TURN", 4)
    monkeypatch.setattr(indexing, "LOOKED_AT_ONCE", 5)
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house, indexer(pool, house.house.blobs) as indexes:
        await house.deliver(account, *letters(11))
        await indexing.note_searcher(pool, account)
        assert (await indexing.backlog(pool)).waiting == 11
        [work] = await due(pool)
        assert await indexes.index(work) == [work]
        every = await numbers(pool, _ALL, account)
        assert await numbers(pool, _DONE, account) == every[:4]
        assert (await indexing.backlog(pool)).waiting == 7

        await house.deliver(account, *letters(2))  # what comes meanwhile goes first
        assert await indexes.index(work) == [work]
        every = await numbers(pool, _ALL, account)
        assert await numbers(pool, _DONE, account) == every[:8]
        assert await due(pool) == []  # the turn is on its way
        assert await indexes.index(work) == [work]
        assert await indexes.index(work) == []
        assert await numbers(pool, _DONE, account) == every
        assert await due(pool) == []
        assert (await indexing.backlog(pool)).waiting == 0


async def test_who_has_much_to_do_lets_others_in_between(pool: Pool, tmp_path: Path) -> None:
    large, small = await add_reader(pool), await add_reader(pool, "small")
    async with gateway(pool, tmp_path) as house, indexer(pool, house.house.blobs) as indexes:
        await house.deliver(large, *letters(210))
        await house.deliver(small, *letters(1))
        await indexing.keep_marks(pool, None)
        [work] = await due(pool)
        assert sorted(work.accounts) == sorted([large, small])

        [left] = await indexes.index(work)
        assert left.accounts == (large,)
        assert len(await numbers(pool, _DONE, large)) == turns.MESSAGES_IN_A_TURN / 2
        assert len(await numbers(pool, _DONE, small)) == 1


async def test_a_turn_is_over_after_its_time_and_each_goes_on_alone(
    pool: Pool, tmp_path: Path
) -> None:
    accounts = [await add_reader(pool, name) for name in ("a", "b")]
    async with gateway(pool, tmp_path) as house, indexer(pool, house.house.blobs) as indexes:
        for account in accounts:
            await house.deliver(account, *letters(80))
        await indexing.keep_marks(pool, None)
        hasty = Indexer(pool=pool, blobs=house.house.blobs, workshop=indexes.workshop,
                        with_documents=True, turn_time=timedelta())  # fmt: skip
        before = read_messages()
        left = await due(pool)
        rounds = [len(left)]
        while left:
            left += await hasty.index(left.pop(0))
            rounds.append(len(left))
        for account in accounts:
            assert len(await numbers(pool, _DONE, account)) == 80

    assert max(rounds) == 2
    assert len(rounds) > 3
    assert read_messages() - before == 160


async def test_a_turn_is_over_when_its_texts_fill_the_memory(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing_of, "TURN_CHARACTERS", 1000)
    monkeypatch.setattr(indexing_of, "HELD_AT_ONCE", 1)
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house, indexer(pool, house.house.blobs) as indexes:
        large = b"Subject: x\r\n\r\n" + b"many words " * 50_000
        await house.deliver(account, *[large] * 3)
        await indexing.keep_marks(pool, None)
        [work] = await due(pool)
        left = [work]
        for done in (1, 2, 3):
            left = await indexes.index(work)
            assert len(await numbers(pool, _DONE, account)) == done

        assert left == []


async def test_two_indexers_do_nothing_twice(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with (
        gateway(pool, tmp_path) as house,
        indexer(pool, house.house.blobs) as one,
        indexer(pool, house.house.blobs) as other,
    ):
        await house.deliver(account, *letters(150))
        await indexing.keep_marks(pool, None)
        [work] = await due(pool)
        before = read_messages()
        answers = await asyncio.gather(one.index(work), other.index(work))

        assert sorted(answers, key=len) == [[], [work]]  # the second finds it taken
        assert read_messages() - before == 150
        assert await other.index(work) == []
        assert read_messages() - before == 150


async def test_a_lost_turn_is_given_again_and_the_old_one_is_nobodys(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house, indexer(pool, house.house.blobs) as indexes:
        await house.deliver(account, *letters(2))
        await indexing.keep_marks(pool, None)
        [lost] = await due(pool)
        assert await due(pool) == []
        await pool.execute("update searchers set turn = turn - interval '11 min'")
        [found] = await due(pool)

        assert await indexes.index(lost) == []
        assert await numbers(pool, _DONE, account) == []
        assert await indexes.index(found) == []
        assert len(await numbers(pool, _DONE, account)) == 2


async def test_rows_that_came_as_the_mark_went_are_removed(pool: Pool) -> None:
    account = await add_reader(pool)
    await pool.execute("insert into unindexed (account_id, content_id) values ($1, 7)", account)

    assert await due(pool) == []
    assert await pool.fetchval("select count(*) from unindexed") == 0


async def test_turns_are_put_back_on_the_queue(
    pool: Pool, tmp_path: Path, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "MESSAGES_IN_A_TURN", 4)
    accounts = [await add_reader(pool, name) for name in ("a", "b", "c")]
    async with (
        gateway(pool, tmp_path) as house,
        indexer(pool, house.house.blobs) as indexes,
        connect(broker_url, Probes(), "test") as broker,
    ):
        for account in accounts:
            await house.deliver(account, *letters(10))
        await indexing.keep_marks(pool, None)
        await broker.wait_until_up()
        publisher = Publisher(broker)
        await Offers(pool, publisher).look()
        working = asyncio.ensure_future(
            work_off(broker, publisher, indexes.index, beat=Probes().progress("index"))
        )

        async def is_done() -> bool:
            many = [len(await numbers(pool, _DONE, account)) for account in accounts]
            return many == [10, 10, 10] and (await indexing.backlog(pool)).waiting == 0

        await until(is_done, "not all is indexed")
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_what_breaks_its_worker_costs_no_other_its_index(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    memory = 256 * 1024 * 1024
    async with (
        gateway(pool, tmp_path) as house,
        indexer(pool, house.house.blobs, memory=memory) as indexes,
    ):
        bomb = attached("a.docx", b"x" * 60_000_000)
        await house.deliver(account, *letters(3), bomb)
        before = read_messages()
        await index_all(pool, indexes)

        assert len(await numbers(pool, _DONE, account)) == 4
        assert read_messages() - before == 3
