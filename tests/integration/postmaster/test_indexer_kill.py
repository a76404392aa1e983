"""The indexer and its worker killed at work, the broker and PostgreSQL away: searches stay right.

Afterwards every message is indexed, once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from posthouse.bus.connection import connect
from posthouse.bus.publisher import Publisher
from posthouse.extraction.workshop import open_workshop
from posthouse.mail.errors import Unavailable
from posthouse.storage import indexing
from posthouse.storage.pool import Pool, transaction
from posthouse.telemetry.probes import Probes
from postmaster.indexing.indexer import Indexer
from postmaster.indexing.offering import Offers
from support.documents import attached, docx
from support.imap import WORKER_OCTETS, Gateway, User, add_reader, gateway
from support.indexing import due
from support.postmaster import TOKEN, until
from support.processes import Service
from support.wires import Wire, wire

pytestmark = pytest.mark.integration

LETTERS = 250  # more than one turn
_HELD = """
    select count(*) from pg_stat_activity
     where datname = current_database() and wait_event_type = 'Lock'
"""
_GIVEN = "select count(*) from searchers where turn is not null"
_INDEXED = "select count(*) from search where grams is not null and body_f is not null"


@pytest.fixture
async def broker_wire(broker_url: str) -> AsyncIterator[Wire]:
    async with wire(broker_url) as laid:
        yield laid


@pytest.fixture
async def database_wire(postgres_url: str) -> AsyncIterator[Wire]:
    async with wire(postgres_url) as laid:
        yield laid


@pytest.fixture
async def service(broker_wire: Wire, database_wire: Wire, tmp_path: Path) -> AsyncIterator[Service]:
    settings = {
        "POSTHOUSE_DATABASE_URL": database_wire.url,
        "POSTHOUSE_BROKER_URL": broker_wire.url,
        "POSTHOUSE_STORE": f"disk:{tmp_path}/objects",
        "POSTHOUSE_HOSTNAME": "mail.example.test",
        "POSTHOUSE_API_TOKEN": TOKEN,
        "POSTHOUSE_POSTMASTER_PORT": "0",
        "POSTHOUSE_INDEX_ACCOUNTS": "all",
    }
    running = Service("postmaster", settings, tmp_path / "log")
    yield running
    await running.kill()


def letters(first: int, many: int) -> list[bytes]:
    """The first is a document, the others are plain; each has a word of its own."""
    plain = [f"Subject: n\r\n\r\nword{n}x\r\n".encode() for n in range(first + 1, first + many)]
    return [attached("a.docx", docx(f"word{first}x")), *plain]


async def opened(house: Gateway) -> User:
    user = await house.connect()
    await user.login()
    await user.say("SELECT INBOX")
    return user


async def check_search(user: User, many: int) -> None:
    """Every message is found by its word, and by no other."""
    for n in (0, 1, many - 1):
        assert (await user.say(f"SEARCH BODY word{n}x"))[0] == b"* SEARCH %d" % (n + 1)
    assert (await user.say(f"SEARCH BODY word{many}x"))[0] == b"* SEARCH"


async def all_indexed(pool: Pool, many: int) -> None:
    async def is_done() -> bool:
        return not (await indexing.backlog(pool)).waiting

    await until(is_done, "not all was indexed")
    assert await pool.fetchval(_INDEXED) == many


def children_of(parent: int) -> set[int]:
    """Return the processes that ``parent`` started."""
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return {int(pid) for pid in listed.split()}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_an_indexer_killed_at_work_begins_again_and_its_worker_ends(
    pool: Pool, service: Service, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house:
        await house.deliver(account, *letters(0, LETTERS))
        user = await opened(house)
        async with transaction(pool) as holder:  # what its worker made cannot be kept
            await holder.execute("lock table search in share mode")
            await service.start()
            assert service._process is not None
            indexer = service._process.pid
            await until(lambda: children_of(indexer), "no worker was started")
            await until(lambda: pool.fetchval(_HELD), "nothing was made")
            workers = children_of(indexer)
            await service.kill()
        assert workers
        await until(lambda: not any(map(is_alive, workers)), "a worker outlived the indexer")
        await check_search(user, LETTERS)
        await service.start()
        await until(lambda: pool.fetchval(_INDEXED), "nothing was indexed")
        await service.kill()  # some works are done
        await check_search(user, LETTERS)
        await service.start()

        await all_indexed(pool, LETTERS)
        await check_search(user, LETTERS)


async def test_a_message_whose_worker_is_killed_is_indexed_whole(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    async with (
        gateway(pool, tmp_path) as house,
        open_workshop(1, patience=timedelta(seconds=20), memory=WORKER_OCTETS) as workshop,
    ):
        indexer = Indexer(
            pool=pool, blobs=house.house.blobs, workshop=workshop, with_documents=True
        )
        await house.deliver(account, *letters(0, 2))
        await indexing.keep_marks(pool, None)
        [work] = await due(pool)
        others = children_of(os.getpid())
        indexing_all = asyncio.create_task(indexer.index(work))
        await until(lambda: children_of(os.getpid()) - others, "no worker was started")
        [worker] = children_of(os.getpid()) - others  # it has the first message, and reads it
        os.kill(worker, 9)
        await indexing_all

        await all_indexed(pool, 2)
        await check_search(await opened(house), 2)


async def test_what_the_broker_did_not_confirm_is_offered_again_at_once(
    pool: Pool, broker_wire: Wire, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    async with (
        gateway(pool, tmp_path) as house,
        connect(broker_wire.url, Probes(), "test") as broker,
    ):
        await house.deliver(account, *letters(0, 2))
        await indexing.keep_marks(pool, None)
        await broker.wait_until_up()
        broker_wire.hold()
        with pytest.raises(Unavailable):
            await Offers(pool, Publisher(broker, timeout=timedelta(milliseconds=100))).look()
        broker_wire.resume()

        assert not await pool.fetchval(_GIVEN)

        async def all_offered() -> bool:
            with suppress(Unavailable):  # the broker may not be back yet
                await Offers(pool, Publisher(broker)).look()
            return bool(await pool.fetchval(_GIVEN))

        await until(all_offered, "it was not offered again")


@pytest.mark.parametrize("server", ["broker", "database"])
async def test_what_comes_while_a_server_is_away_is_indexed_afterwards(
    pool: Pool,
    service: Service,
    broker_wire: Wire,
    database_wire: Wire,
    tmp_path: Path,
    server: str,
) -> None:
    account = await add_reader(pool)
    await service.start()
    async with gateway(pool, tmp_path) as house:
        user = await opened(house)
        away = {"broker": broker_wire, "database": database_wire}[server]
        away.hold()
        away.cut()
        await house.deliver(account, *letters(0, 10))
        await until(lambda: away.dropped, "the outage was not felt")
        await user.say("NOOP")
        await check_search(user, 10)
        away.resume()

        await all_indexed(pool, 10)
        await check_search(user, 10)
