"""PostgreSQL goes away between a change and its telling: no client may lose count."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.mail.errors import Unavailable
from posthouse.storage.pool import Pool, Tx
from support.imap import LETTER, Hub, add_reader, gateway

pytestmark = pytest.mark.integration


class Moody(Pool):
    """A pool that is away when it is told to be."""

    __slots__ = ("is_away",)

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool._pool)
        self.is_away = False

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Tx]:
        if self.is_away:
            raise Unavailable("storage is not available")
        async with super().session() as session:
            yield session


async def test_expunges_and_arrivals_are_told_although_nothing_can_be_claimed(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    moody, hub = Moody(pool), Hub()
    async with gateway(pool, tmp_path, hub=hub) as house:
        await house.deliver(account, LETTER, LETTER, LETTER)
        house.listener.house = replace(house.house, pool=moody)
        idler = await house.connect()
        await idler.login()
        await idler.say("SELECT INBOX")
        await idler.send(b"i IDLE\r\n")
        assert await idler.hear() == b"+ idling"
        house.listener.house = house.house
        worker = await house.connect()
        await worker.login()
        await worker.say("SELECT INBOX")
        await worker.say("STORE 1 +FLAGS.SILENT (\\Deleted)")
        assert await idler.hear() == b"* 1 FETCH (FLAGS (\\Deleted \\Recent))"

        moody.is_away = True
        await worker.say("STORE 2 +FLAGS.SILENT (urgent)")
        await worker.say("EXPUNGE")
        assert await idler.hear() == b"* 1 EXPUNGE"
        await house.deliver(account, LETTER)
        assert await idler.hear() == b"* 3 EXISTS"
        assert await idler.hear() == b"* 2 RECENT"

        moody.is_away = False
        await idler.send(b"DONE\r\n")
        assert await idler.hear() == b"i OK IDLE ended"
        assert (await idler.say("NOOP"))[0] == b"* 1 FETCH (FLAGS (urgent \\Recent))"
