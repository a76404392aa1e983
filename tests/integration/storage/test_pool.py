"""Trouble with PostgreSQL has one name, and the pool gets over it by itself."""

from __future__ import annotations

import asyncio
import re
import subprocess
from contextlib import suppress
from datetime import timedelta

import asyncpg
import pytest

from posthouse.mail.errors import AnswerLost, Unavailable
from posthouse.storage import connections
from posthouse.storage.pool import Pool, duty_lock, open_pool, transaction
from support.outages import closed_database

pytestmark = pytest.mark.integration

_KILL_OTHERS = """
    select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""


async def kill_others(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(_KILL_OTHERS)
    await connection.close()


async def wait_until_waiting(url: str, statement: str) -> None:
    """Return when a session of this database runs ``statement``."""
    connection = await asyncpg.connect(url)
    running = "select true from pg_stat_activity where query like $1 and pid <> pg_backend_pid()"
    async with asyncio.timeout(10):
        while not await connection.fetchval(running, f"%{statement}%"):
            pass
    await connection.close()


async def test_a_killed_statement_is_unavailable_and_the_next_one_works(
    pool: Pool, postgres_url: str
) -> None:
    async with asyncio.TaskGroup() as group:
        sleeper = group.create_task(outcome(pool.fetchval("select pg_sleep(60)")))
        await wait_until_waiting(postgres_url, "pg_sleep(60)")
        await kill_others(postgres_url)

    assert isinstance(sleeper.result(), AnswerLost)  # it may have been at its end
    assert await pool.fetchval("select 1") == 1


async def outcome(work: object) -> object:
    """Return what ``work`` returned or raised."""
    try:
        return await work  # type: ignore[misc]
    except Unavailable as trouble:
        return trouble


async def test_a_database_closed_for_maintenance_is_unavailable_until_it_is_open(
    pool: Pool,
) -> None:
    async with closed_database(pool):
        for _ in range(2):
            with pytest.raises(Unavailable):
                await pool.fetchval("select 1")

    assert await pool.fetchval("select 1") == 1


async def test_a_wrong_password_is_our_trouble_and_no_mails(postgres_url: str) -> None:
    stranger = re.sub("//[^@]+@", "//nobody_by_that_name:x@", postgres_url)
    async with open_pool(stranger) as strange:
        with pytest.raises(Unavailable):
            await strange.fetchval("select 1")


async def test_a_connection_killed_while_idle_costs_at_most_one_failure(
    pool: Pool, postgres_url: str
) -> None:
    assert await pool.fetchval("select 1") == 1
    await kill_others(postgres_url)

    first = await outcome(pool.fetchval("select 2"))

    assert first == 2 or isinstance(first, Unavailable)
    assert await pool.fetchval("select 3") == 3


async def test_a_transaction_whose_connection_is_killed_did_not_happen(
    pool: Pool, postgres_url: str
) -> None:
    async def killed() -> None:
        async with transaction(pool) as tx:
            await tx.execute("insert into domains (domain) values ('example.test')")
            await kill_others(postgres_url)
            await tx.execute("insert into domains (domain) values ('second.test')")

    with pytest.raises(Unavailable):
        await killed()

    assert await pool.fetchval("select count(*) from domains") == 0


async def test_a_commit_that_cannot_be_sent_is_unavailable(pool: Pool, postgres_url: str) -> None:
    async def killed() -> None:
        async with transaction(pool) as tx:
            await tx.execute("insert into domains (domain) values ('example.test')")
            await kill_others(postgres_url)

    with pytest.raises(Unavailable):
        await killed()

    assert await pool.fetchval("select count(*) from domains") == 0


async def test_a_statement_that_takes_too_long_is_unavailable(pool: Pool) -> None:
    async def slow() -> None:
        async with transaction(pool) as tx:
            await tx.execute("set local statement_timeout = '20ms'")
            await tx.execute("select pg_sleep(10)")

    with pytest.raises(Unavailable, match="statement timeout") as raised:
        await slow()
    assert not isinstance(raised.value, AnswerLost)  # the server says that it was not done


async def test_every_session_has_a_statement_timeout(pool: Pool) -> None:
    assert await pool.fetchval("show statement_timeout") == "30s"
    assert await pool.fetchval("show timezone") == "UTC"


async def test_a_deadlock_is_unavailable_for_one_of_the_two(pool: Pool) -> None:
    await pool.execute("insert into domains (domain) values ('a.test'), ('b.test')")
    both_hold = asyncio.Barrier(2)

    async def update(first: str, second: str) -> None:
        touch = "update domains set catch_all = 'x' where domain = $1"
        async with transaction(pool) as tx:
            await tx.execute("set local deadlock_timeout = '50ms'")
            await tx.execute(touch, first)
            await both_hold.wait()
            await tx.execute(touch, second)

    results = await asyncio.gather(
        outcome(update("a.test", "b.test")), outcome(update("b.test", "a.test"))
    )

    assert sorted(type(result).__name__ for result in results) == ["NoneType", "Unavailable"]


async def test_a_bug_of_ours_is_not_called_unavailable(pool: Pool) -> None:
    with pytest.raises(asyncpg.UndefinedColumnError):
        await pool.fetch("select nonsense from domains")
    with pytest.raises(asyncpg.DataError):
        await pool.fetch("select $1::int", "not a number")
    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute("insert into domains (domain) values ('a.test'), ('a.test')")


async def test_what_the_block_itself_raises_stays_as_it_is(pool: Pool) -> None:
    async def fail() -> None:
        async with transaction(pool) as tx:
            await tx.execute("insert into domains (domain) values ('a.test')")
            raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        await fail()

    assert await pool.fetchval("select count(*) from domains") == 0


async def test_a_transaction_within_a_transaction_is_a_savepoint(pool: Pool) -> None:
    async def inner_fails() -> None:
        async with transaction(pool) as tx:
            await tx.execute("insert into domains (domain) values ('outer.test')")
            with suppress(LookupError):
                async with transaction(tx) as inner:
                    await inner.execute("insert into domains (domain) values ('inner.test')")
                    raise LookupError

    await inner_fails()

    assert [row["domain"] for row in await pool.fetch("select domain from domains")] == [
        "outer.test"
    ]


async def test_when_every_connection_is_taken_callers_do_not_wait_for_ever(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_pool(postgres_url, connections=1) as pool:
        async with pool.session():
            monkeypatch.setattr(connections, "ACQUIRE_SECONDS", 0.05)
            with pytest.raises(Unavailable):
                await pool.fetchval("select 1")
            monkeypatch.undo()
        assert await pool.fetchval("select 1") == 1


async def test_a_cancelled_caller_gives_its_connection_back(postgres_url: str) -> None:
    async with open_pool(postgres_url, connections=1) as pool:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await pool.fetchval("select pg_sleep(60)")
        assert await pool.fetchval("select 1") == 1


async def test_a_server_that_is_not_there_is_unavailable_at_once() -> None:
    async with open_pool("postgresql://postgres@127.0.0.1:1/nowhere") as pool:
        with pytest.raises(Unavailable):
            await pool.fetchval("select 1")


async def test_one_pod_does_a_duty_at_a_time(pool: Pool) -> None:
    async with duty_lock(pool, "sweeping") as mine:
        async with duty_lock(pool, "sweeping") as theirs:
            assert (mine, theirs) == (True, False)
        async with duty_lock(pool, "collecting") as other:
            assert other
    async with duty_lock(pool, "sweeping") as again:
        assert again


async def test_a_duty_passes_on_when_its_holder_dies(pool: Pool, postgres_url: str) -> None:
    async with open_pool(postgres_url, connections=1) as other:
        with pytest.raises(Unavailable):
            await hold_until_killed(pool, postgres_url)
        async with asyncio.timeout(timedelta(seconds=10).total_seconds()):
            while True:
                async with duty_lock(other, "sweeping") as held:
                    if held:
                        break


async def hold_until_killed(pool: Pool, url: str) -> None:
    async with duty_lock(pool, "sweeping") as held:
        assert held
        await kill_others(url)
        await pool.fetchval("select 1")
        raise Unavailable("the lock is gone")


async def test_executemany_is_one_transaction(pool: Pool) -> None:
    add = "insert into domains (domain) values ($1)"

    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.executemany(add, [("a.test",), ("b.test",), ("a.test",)])
    assert await pool.fetchval("select count(*) from domains") == 0

    await pool.executemany(add, [("a.test",), ("b.test",)])
    assert await pool.execute("delete from domains") == 2


async def test_a_duty_that_is_cancelled_twice_keeps_no_lock_in_the_pool(
    pool: Pool, postgres_url: str
) -> None:
    held = asyncio.Event()

    async def duty() -> None:
        async with duty_lock(pool, "sweeping"):
            held.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(duty())
    await held.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    async with open_pool(postgres_url, connections=1) as other, asyncio.timeout(10):
        while True:
            async with duty_lock(other, "sweeping") as again:
                if again:
                    return


async def test_a_duty_whose_connection_breaks_as_it_gives_its_lock_back_is_unavailable(
    pool: Pool, postgres_url: str
) -> None:
    async def does_its_duty(mine: Pool) -> None:
        async with duty_lock(mine, "sweeping") as held:
            assert held
            # Without a turn of the loop: that the connection ends is noticed by who unlocks.
            _end_holders_from_outside(postgres_url)

    async with open_pool(postgres_url, connections=1) as mine:
        with pytest.raises(Unavailable):
            await does_its_duty(mine)
    async with duty_lock(pool, "sweeping") as held:
        assert held


def _end_holders_from_outside(url: str) -> None:
    ending = """
        select pg_terminate_backend(pid, 5000) from pg_locks
         where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
    """
    subprocess.run(["psql", "-qc", ending, url], check=True, capture_output=True)


async def test_what_is_given_back_goes_to_who_waits_and_no_more_are_made(
    postgres_url: str,
) -> None:
    async with open_pool(postgres_url, connections=2) as pool:
        ids = await asyncio.gather(*(pool.fetchval("select pg_backend_pid()") for _ in range(50)))

    assert len(set(ids)) <= 2


async def test_who_is_cancelled_as_a_connection_comes_leaves_it_to_others(
    postgres_url: str,
) -> None:
    async with open_pool(postgres_url, connections=1) as pool:
        async with pool.session():
            waiting = asyncio.create_task(outcome(pool.fetchval("select 1")))
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

        assert waiting.cancelled()
        assert await pool.fetchval("select 2") == 2


async def test_a_transaction_left_open_is_rolled_back_before_the_next_caller(
    postgres_url: str,
) -> None:
    async with open_pool(postgres_url, connections=1) as pool:
        async with pool.session() as session:
            await session.execute("begin")
            await session.execute("insert into domains (domain) values ('a.test')")

        assert await pool.fetchval("select count(*) from domains") == 0


async def test_a_connection_is_replaced_after_many_uses_or_when_it_lay_idle(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = "select pg_backend_pid()"
    async with open_pool(postgres_url, connections=1) as pool:
        first = await pool.fetchval(me)
        monkeypatch.setattr(connections, "MAX_USES", 2)
        assert await pool.fetchval(me) == first
        assert await pool.fetchval(me) != first

    monkeypatch.setattr(connections, "IDLE", timedelta(0))
    async with open_pool(postgres_url, connections=1) as pool, asyncio.timeout(10):
        first = await pool.fetchval(me)
        while await pool.fetchval(me) == first:
            pass


async def test_a_lock_that_its_caller_did_not_live_to_know_of_is_given_back(
    pool: Pool, postgres_url: str
) -> None:
    class Gone(Exception):
        """The caller was ended between the server's answer and its own next step."""

    with suppress(Gone):
        async with pool.session() as session:
            assert await session.fetchval("select pg_try_advisory_lock(hashtext('a duty'))")
            raise Gone

    connection = await asyncpg.connect(postgres_url)
    async with asyncio.timeout(10):
        await connection.execute("select pg_advisory_lock(hashtext('a duty'))")
    await connection.close()
