"""PostgreSQL goes away between a change and its telling: no client may lose count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from imap_gateway import session
from posthouse.mail.errors import Unavailable
from posthouse.mime import scan
from posthouse.storage.filing import Filed, file
from posthouse.storage.pool import Pool, Row, Tx
from support.filings import accepted
from support.imap import LETTER, Hub, add_reader, gateway

pytestmark = pytest.mark.integration

T = TypeVar("T")


class Moody(Pool):
    """A pool that is away when it is told to be."""

    __slots__ = ("is_away",)

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool._connections)
        self.is_away = False

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Tx]:
        if self.is_away:
            raise Unavailable("storage is not available")
        async with super().session() as session:
            yield session

    async def _ask(
        self, how: Callable[..., Awaitable[T]], sql: str, arguments: Sequence[object]
    ) -> T:
        if self.is_away:
            raise Unavailable("storage is not available")
        return await super()._ask(how, sql, arguments)


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


class Half(Moody):
    """A pool that reads and does not write when it is told to be away."""

    async def fetchrow(self, sql: str, *arguments: object) -> Row | None:
        if self.is_away and "for update" in sql:
            raise Unavailable("storage is read-only")
        async with Pool.session(self) as session:
            return await session.fetchrow(sql, *arguments)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Tx]:
        async with Pool.session(self) as session:
            yield session

    async def _ask(
        self, how: Callable[..., Awaitable[T]], sql: str, arguments: Sequence[object]
    ) -> T:
        return await Pool._ask(self, how, sql, arguments)


async def test_a_mailbox_that_could_not_be_opened_is_not_selected(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    half = Half(pool)
    async with gateway(pool, tmp_path) as house:
        await house.deliver(account, LETTER)
        house.listener.house = replace(house.house, pool=half)
        user = await house.connect()
        await user.login()
        half.is_away = True
        assert (await user.say("SELECT INBOX"))[-1].startswith(b"NO [UNAVAILABLE]")
        assert (await user.say("FETCH 1 UID"))[-1].startswith(b"BAD")
        half.is_away = False
        assert (await user.say("SELECT INBOX"))[-1].startswith(b"OK [READ-WRITE]")


async def test_news_that_cannot_be_fetched_end_no_session(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house:
        user = await house.connect()
        await user.login()
        await user.say("SELECT INBOX")
        wish = "NOTIFY SET (SELECTED (MessageNew (UID BODY.PEEK[]) MessageExpunge))"
        assert (await user.say(wish))[-1].startswith(b"OK")
        [filing] = await accepted(pool, account)  # whose object is missing
        filing = replace(filing, prefix=b"", size=len(LETTER), summary=scan(LETTER))
        [filed] = await file(pool, [filing])
        assert isinstance(filed, Filed)
        house.house.updates.tell(account, filed.mailbox, filed.modseq)
        assert await user.hear() == b"* 1 EXISTS"
        assert await user.hear() == b"* 1 RECENT"
        assert await user.say("NOOP") == [b"OK done"]


class Uncounted(Moody):
    """A pool that cannot count flags when it is told to be away.

    Attributes:
        refused: It was asked to.
    """

    __slots__ = ("refused",)

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.refused = asyncio.Event()

    async def fetch(self, sql: str, *arguments: object) -> list[Row]:
        if self.is_away and "unseen" in sql:
            self.refused.set()
            raise Unavailable("storage is not available")
        async with Pool.session(self) as session:
            return await session.fetch(sql, *arguments)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Tx]:
        async with Pool.session(self) as session:
            yield session

    async def _ask(
        self, how: Callable[..., Awaitable[T]], sql: str, arguments: Sequence[object]
    ) -> T:
        return await Pool._ask(self, how, sql, arguments)


async def test_what_happens_elsewhere_is_told_once_and_whole_when_all_of_it_can_be(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "AGAIN", timedelta(milliseconds=50))
    account = await add_reader(pool)
    uncounted = Uncounted(pool)
    async with gateway(pool, tmp_path) as house:
        await house.deliver(account, LETTER)
        house.listener.house = replace(house.house, pool=uncounted)
        user = await house.connect()
        await user.login()
        wish = "NOTIFY SET (PERSONAL (MessageNew MessageExpunge FlagChange MailboxName))"
        assert (await user.say(wish))[-1].startswith(b"OK")
        house.listener.house = house.house
        worker = await house.connect()
        await worker.login()
        await worker.say("SELECT INBOX")
        uncounted.is_away = True
        await worker.say("STORE 1 +FLAGS.SILENT (\\Seen)")
        await worker.say("CREATE Fresh")
        await uncounted.refused.wait()

        uncounted.is_away = False

        assert await user.hear() == b'* LIST (\\HasNoChildren) "/" Fresh'
        assert await user.hear() == b"* STATUS INBOX (UNSEEN 0 UIDVALIDITY 1)"
        assert await user.say("NOOP") == [b"OK done"]
