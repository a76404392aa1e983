"""Promise 1: what `accept` returned for is committed, whole, whatever happens around it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from msgspec.structs import replace

from posthouse.mail.errors import Unavailable
from posthouse.storage.ledger import Intake, claim_unpublished, enter
from posthouse.storage.pool import Pool, open_pool
from support.ledger import a_mail, rows_of, states_of

pytestmark = pytest.mark.integration

AT_ONCE = timedelta(0)


async def counted(pool: Pool, table: str) -> int:
    return int(str(await pool.fetchval(f"select count(*) from {table}")))  # noqa: S608 - ours


async def test_an_accepted_mail_is_in_the_ledger_whole(pool: Pool, postgres_url: str) -> None:
    mail = a_mail("anna@example.test", "bert@example.test")

    async with Intake(pool) as intake:
        await intake.accept(mail)
        other = await asyncpg.connect(postgres_url)
        try:
            row = await other.fetchrow("select * from envelopes where id = $1", mail.id)
            waiting = await other.fetchval(
                "select count(*) from unpublished where id = $1", mail.id
            )
        finally:
            await other.close()

    assert row is not None
    assert (row["sender"], row["size"], row["origin"]) == (mail.sender, 4096, "smtp")
    assert await states_of(pool, mail.id) == {0: "accepted", 1: "accepted"}
    assert waiting == 1


async def test_many_callers_share_few_commits_and_each_mail_is_there(pool: Pool) -> None:
    mails = [a_mail(f"user{n}@example.test") for n in range(300)]
    async with Intake(pool) as intake:
        await asyncio.gather(*(intake.accept(mail) for mail in mails))

    assert await counted(pool, "envelopes") == 300
    assert await counted(pool, "recipients") == 300
    assert await counted(pool, "unpublished") == 300
    written = await pool.fetchval("select count(distinct xmin::text) from envelopes")
    assert int(str(written)) <= 10


async def test_the_same_mail_again_changes_nothing(pool: Pool) -> None:
    mail = a_mail()

    async with Intake(pool) as intake:
        await intake.accept(mail)
        await intake.accept(mail)

    assert await counted(pool, "envelopes") == 1
    assert await counted(pool, "recipients") == 1


async def test_what_postgresql_cannot_write_hurts_only_its_own_sender(pool: Pool) -> None:
    good = [a_mail(f"user{n}@example.test") for n in range(20)]
    bad = replace(a_mail(), size=2**40)  # no column takes it

    async with Intake(pool) as intake:
        results = await asyncio.gather(
            *(intake.accept(mail) for mail in [*good[:10], bad, *good[10:]]), return_exceptions=True
        )

    assert [n for n, result in enumerate(results) if result is not None] == [10]
    assert await counted(pool, "envelopes") == 20


async def test_octets_that_no_text_column_takes_are_replaced(pool: Pool) -> None:
    mail = a_mail("nul\0@example.test", sender="\udc80@far.test")

    async with Intake(pool) as intake:
        await intake.accept(mail)

    assert (await rows_of(pool, mail.id))[0]["address"] == "nul\ufffd@example.test"


async def test_a_cancelled_caller_leaves_the_others_alone(pool: Pool) -> None:
    mails = [a_mail() for _ in range(10)]

    async with Intake(pool) as intake:
        calls = [asyncio.create_task(intake.accept(mail)) for mail in mails]
        await asyncio.sleep(0)
        calls[3].cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)

    assert [n for n, r in enumerate(results) if r is not None] == [3]
    assert {m.id for n, m in enumerate(mails) if n != 3} <= {
        row["id"] for row in await pool.fetch("select id from envelopes")
    }


async def test_without_a_server_accept_is_unavailable_and_the_intake_lives_on() -> None:
    async with (
        open_pool("postgresql://postgres@127.0.0.1:1/nowhere") as nowhere,
        Intake(nowhere) as intake,
    ):
        for _ in range(3):
            with pytest.raises(Unavailable):
                await intake.accept(a_mail())


async def test_a_connection_killed_under_load_loses_no_accepted_mail(
    pool: Pool, postgres_url: str
) -> None:
    accepted = []
    stop = asyncio.Event()
    progress = asyncio.Semaphore(0)

    async def sender(intake: Intake) -> None:
        while not stop.is_set():
            mail = a_mail()
            try:
                await intake.accept(mail)
            except Unavailable:
                continue
            accepted.append(mail.id)
            progress.release()

    async with Intake(pool) as intake, asyncio.TaskGroup() as senders:
        for _ in range(20):
            senders.create_task(sender(intake))
        killer = await asyncpg.connect(postgres_url)
        for _ in range(10):
            for _ in range(20):
                await progress.acquire()
            await killer.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        await killer.close()
        for _ in range(len(accepted) + 50 - 200):  # it goes on
            await progress.acquire()
        stop.set()

    stored = {row["id"] for row in await pool.fetch("select envelope as id from recipients")}
    assert set(accepted) <= stored
    assert await counted(pool, "envelopes") == len(stored)
    assert await counted(pool, "unpublished") == len(stored)


async def test_a_mail_accepted_and_never_published_comes_up_for_the_sweeper(pool: Pool) -> None:
    mail = a_mail("anna@example.test", "bert@example.test")
    await enter(pool, [mail])

    assert await claim_unpublished(pool, AT_ONCE, 10) == [mail.envelope]


async def test_mail_that_waits_for_company_is_told_of_the_end(
    pool: Pool, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posthouse.storage.ledger.grouping.GATHER", timedelta(minutes=1))
    blocker = await asyncpg.connect(postgres_url)
    async with blocker.transaction():
        await blocker.execute("lock table unpublished in access exclusive mode")
        async with Intake(pool) as intake:
            written = asyncio.create_task(intake.accept(a_mail()))
            async with asyncio.timeout(20):
                while not await pool.fetchval("select count(*) from pg_locks where not granted"):
                    pass
            gathering = asyncio.create_task(intake.accept(a_mail()))
            await asyncio.sleep(0)  # it is asked
            await asyncio.sleep(0)  # the second writer has it

        async with asyncio.timeout(5):
            ends = await asyncio.gather(written, gathering, return_exceptions=True)
    await blocker.close()

    assert [type(end) for end in ends] == [Unavailable, Unavailable]
