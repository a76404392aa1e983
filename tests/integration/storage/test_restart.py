"""PostgreSQL is killed and comes back: no accepted mail is lost, the same pool goes on."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from onemachine.children import Registry
from onemachine.ports import free_ports
from onemachine.postgres import Postgres, reachable_home
from posthouse.mail.errors import Unavailable
from posthouse.storage.ledger import Intake, iterate_unsettled
from posthouse.storage.migrate import await_schema, migrate
from posthouse.storage.pool import Pool, open_pool
from support.ledger import a_mail

pytestmark = pytest.mark.integration

CALLERS = 10
ENOUGH = 100  # mails accepted before and after the kill


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Postgres]:
    """A server of this test alone, which may be killed."""
    registry = Registry(tmp_path)
    home = reachable_home(tmp_path / "postgres")
    postgres = Postgres(
        home=home, port=free_ports(1)[0], password=secrets.token_hex(8), registry=registry
    )
    await postgres.start()
    yield postgres
    await postgres.stop()
    await asyncio.to_thread(shutil.rmtree, home.parent, ignore_errors=True)


class Callers:
    """Callers of `Intake.accept` that never give up, as sending servers do."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.accepted: list[UUID] = []
        self.refused = asyncio.Event()
        self.progress = asyncio.Semaphore(0)

    async def call(self, intake: Intake) -> None:
        while True:
            mail = a_mail()
            try:
                await intake.accept(mail)
            except Unavailable:
                self.refused.set()
                await asyncio.sleep(0.02)  # a sender's patience
                continue
            self.accepted.append(mail.id)
            self.progress.release()

    async def accept_some(self) -> None:
        for _ in range(ENOUGH):
            await self.progress.acquire()


async def test_a_killed_server_loses_no_accepted_mail_and_the_pool_recovers(
    server: Postgres,
) -> None:
    await migrate(server.url())
    async with open_pool(server.url()) as pool, Intake(pool) as intake:
        callers = Callers(pool)
        async with asyncio.timeout(100), asyncio.TaskGroup() as group:
            tasks = [group.create_task(callers.call(intake)) for _ in range(CALLERS)]
            await callers.accept_some()
            assert server.child is not None
            server.child.kill()
            await server.child.wait()
            await callers.refused.wait()
            await server.start()
            while not callers.progress.locked():
                await callers.progress.acquire()
            await callers.accept_some()
            for task in tasks:
                task.cancel()

        open_now = {e.id async for batch in iterate_unsettled(pool, 100) for e in batch}

    assert set(callers.accepted) <= open_now


async def test_a_service_that_starts_before_its_server_waits_for_it(server: Postgres) -> None:
    await migrate(server.url())
    await server.stop()

    async with open_pool(server.url()) as pool:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            waiting = group.create_task(await_schema(pool))
            await asyncio.sleep(0)
            assert not waiting.done()
            await server.start()
        assert await pool.fetchval("select 1") == 1
