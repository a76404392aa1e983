"""The schema: applied once, never changed; partitions: there before they are needed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from posthouse.mail.errors import Unavailable
from posthouse.mail.ids import new_id
from posthouse.mail.outcome import Relayed
from posthouse.storage import migrate as migrate_module
from posthouse.storage.ledger import enter, settle
from posthouse.storage.migrate import (
    SchemaConflict,
    await_schema,
    migrate,
    migrations,
    schema_is_current,
)
from posthouse.storage.partitions import drop_old, ensure_partitions, partition_name
from posthouse.storage.pool import Pool, open_pool, transaction
from support.ledger import a_mail, states_of
from support.servers import needed

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)


@pytest.fixture
async def empty_url() -> AsyncIterator[str]:
    """A database without a schema."""
    server, name = needed("POSTHOUSE_TEST_POSTGRES"), f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(server)
    await connection.execute(f"create database {name}")
    yield urlunsplit(urlsplit(server)._replace(path=name))
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


def today() -> date:
    """Return the day of now: the one before is over when a whole run goes on behind midnight."""
    return datetime.now(UTC).date()


def at(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp() * 1000)


async def tables(pool: Pool) -> set[str]:
    rows = await pool.fetch("select relname from pg_class where relkind in ('r', 'p')")
    return {row["relname"] for row in rows}


async def test_many_pods_migrate_an_empty_database_once(empty_url: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_url) for _ in range(5)))

    names = [migration.name for migration in migrations()]
    assert sorted(name for one in applied for name in one) == names
    async with open_pool(empty_url) as pool:
        assert await schema_is_current(pool)
        assert await migrate(pool) == ()


async def test_a_service_waits_for_the_schema(empty_url: str) -> None:
    async with open_pool(empty_url) as pool:
        assert not await schema_is_current(pool)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(await_schema(pool))
            await migrate(pool)
        assert await schema_is_current(pool)


async def test_an_edited_migration_stops_the_start(pool: Pool) -> None:
    await pool.execute("update schema_migrations set checksum = 'other' where name like '0001%'")

    with pytest.raises(SchemaConflict, match="0001_directory"):
        await migrate(pool)
    with pytest.raises(SchemaConflict):
        await await_schema(pool)


async def test_what_a_newer_version_added_does_not_disturb_an_older_one(pool: Pool) -> None:
    await pool.execute(
        "insert into schema_migrations (name, checksum) values ('9999_new.sql', 'x')"
    )

    assert await migrate(pool) == ()
    assert await schema_is_current(pool)


async def test_nobody_waits_behind_a_migration_that_waits_for_a_table(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = migrate_module.Migration(
        name="9999_new.sql", sql="alter table accounts add column later int", checksum="x"
    )
    monkeypatch.setattr(migrate_module, "_WAIT_BRIEFLY", "set local lock_timeout = '50ms'")
    monkeypatch.setattr(migrate_module, "migrations", lambda: (new,))
    async with transaction(pool) as tx:
        await tx.fetch("select * from accounts")  # a dump does so for hours

        with pytest.raises(Unavailable):
            await migrate(pool)
    assert await migrate(pool) == (new.name,)


async def test_the_coming_days_have_partitions(pool: Pool) -> None:
    wanted = {
        partition_name(table, today() + n * DAY)
        for table in ("envelopes", "recipients", "events")
        for n in range(-1, 10)
    }

    await ensure_partitions(pool, 9)

    assert wanted <= await tables(pool)
    assert await ensure_partitions(pool, 9) == ()


async def test_mail_of_a_day_without_a_partition_is_kept_and_moves_into_it_later(
    pool: Pool,
) -> None:
    later = today() + 20 * DAY
    mail = a_mail(ident=new_id(at(later)))
    await enter(pool, [mail])
    in_default = await pool.fetchval("select count(*) from only recipients_default")

    await asyncio.gather(ensure_partitions(pool, 21), ensure_partitions(pool, 21))

    name = partition_name("recipients", later)
    assert in_default == 1
    assert await pool.fetchval("select count(*) from only recipients_default") == 0
    assert await pool.fetchval(f"select count(*) from only {name}") == 1  # noqa: S608 - ours
    assert await settle(pool, mail.id, [Relayed(n=0, host="h", reply="r")], 1) == {0}


async def test_mail_of_a_day_that_nobody_prepared_gets_its_partition_afterwards(pool: Pool) -> None:
    long_ago = today() - 30 * DAY
    await enter(pool, [a_mail(ident=new_id(at(long_ago)))])

    await ensure_partitions(pool)

    assert partition_name("recipients", long_ago) in await tables(pool)
    assert await pool.fetchval("select count(*) from only recipients_default") == 0


async def test_old_days_go_whole_but_never_with_open_mail(pool: Pool) -> None:
    await ensure_partitions(pool)
    old, older = today() + 2 * DAY, today() + DAY
    settled, still_open = a_mail(ident=new_id(at(old))), a_mail(ident=new_id(at(older)))
    await enter(pool, [settled, still_open])
    await settle(pool, settled.id, [Relayed(n=0, host="h", reply="r")], 1)

    dropped = await drop_old(pool, keep_days=-3)  # as if it were three days later

    assert {partition_name(t, old) for t in ("envelopes", "recipients", "events")} <= set(dropped)
    assert partition_name("recipients", older) not in dropped
    assert await states_of(pool, settled.id) == {}
    assert await states_of(pool, still_open.id) == {0: "accepted"}
    assert await drop_old(pool, keep_days=-3) == ()


async def test_partitions_are_made_while_mail_comes_in(pool: Pool) -> None:
    stop = asyncio.Event()
    entered = 0

    async def traffic() -> None:
        nonlocal entered
        while not stop.is_set():
            await enter(pool, [a_mail()])
            entered += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(traffic())
        await ensure_partitions(pool, 12)
        stop.set()

    assert await pool.fetchval("select count(*) from recipients") == entered


async def test_a_day_that_is_still_open_is_left_alone_without_a_lock(
    pool: Pool, postgres_url: str
) -> None:
    open_days = (today() - DAY, today())  # also if midnight is now
    await enter(pool, [a_mail(ident=new_id(at(day))) for day in open_days])
    await drop_old(pool, keep_days=0)  # empty ones from before midnight
    reader = await asyncpg.connect(postgres_url)
    async with reader.transaction():  # a delivery; taking the lock behind it would stop all others
        await reader.execute("select * from recipients for update")

        assert await drop_old(pool, keep_days=0) == ()
    await reader.close()
