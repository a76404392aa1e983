"""Shared views on a real PostgreSQL: read in pages, brought up to date, dropped and read anew."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from imap_gateway.errors import Farewell
from imap_gateway.memory.views import Views
from imap_gateway.view.position import Position
from imap_gateway.view.shared import SharedView
from posthouse.mail.errors import Unavailable
from posthouse.storage.mailboxes import find_mailbox
from posthouse.storage.messages import FlagChange, Mode, expunge, store_flags
from posthouse.storage.pool import Pool, Queries
from posthouse.storage.snapshots import Delta, Page, changes_since, load_page, prune_changes
from support.imap import LETTER, Hub, add_reader, gateway

pytestmark = pytest.mark.integration


@dataclass(slots=True)
class Reader:
    """A session that has nothing else to do."""

    is_idle: bool = False


async def opened(pool: Pool, account: int) -> tuple[Views, SharedView]:
    views = Views(pool, asyncio.get_running_loop().time)
    return views, (await open_inbox(views, pool, account, Reader())).view


async def open_inbox(views: Views, pool: Pool, account: int, reader: Reader) -> Position:
    box = await find_mailbox(pool, account, "INBOX")
    return await views.open(box, reader)


async def test_a_mailbox_is_read_in_pages_and_after_a_gap_anew(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posthouse.storage.snapshots.CHUNK_MESSAGES", 3)
    monkeypatch.setattr("imap_gateway.memory.loading.CHUNK_MESSAGES", 3)
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(account, *[LETTER] * 8)
        views, view = await opened(pool, account)
        assert view.rows.uids.tolist() == list(range(1, 9))

        flagged = FlagChange(mode=Mode.ADD, flags=4)
        await store_flags(pool, account, view.mailbox, [2, 7], flagged)
        await expunge(pool, account, view.mailbox, [1, 4], deleted_only=False)
        await imap.deliver(account, LETTER)
        await views.refresh(view)
        assert view.rows.uids.tolist() == [2, 3, 5, 6, 7, 8, 9]
        assert view.rows.flags.tolist() == [4, 0, 0, 0, 4, 0, 0]
        assert view.knows_since(view.modseq - 3)

        await expunge(pool, account, view.mailbox, [9], deleted_only=False)
        await imap.deliver(account, LETTER)
        assert await prune_changes(pool, account, view.mailbox, keep=1) > 0
        await views.refresh(view)

        assert view.rows.uids.tolist() == [2, 3, 5, 6, 7, 8, 10]
        assert not view.knows_since(view.modseq - 2)


@pytest.mark.parametrize(("arrivals", "is_read"), [(1, True), (4, False)])
async def test_what_happens_while_a_mailbox_is_read_is_not_missed(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arrivals: int, *, is_read: bool
) -> None:
    """The messages lie unevenly, so a span has more than a page; all are read by two at once."""
    monkeypatch.setattr("posthouse.storage.snapshots.CHUNK_MESSAGES", 4)
    monkeypatch.setattr("imap_gateway.memory.loading.CHUNK_MESSAGES", 4)
    account, gone = await add_reader(pool), iter([2, 33, 40])
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(account, *[LETTER] * 40)
        mailbox = (await find_mailbox(pool, account, "INBOX")).id
        await expunge(pool, account, mailbox, list(range(6, 31)), deleted_only=False)

        async def changing(queries: Queries, *where: int) -> Page:
            page = await load_page(queries, *where)
            if uid := next(gone, None):
                await expunge(pool, account, mailbox, [uid], deleted_only=False)
                flagged = FlagChange(mode=Mode.ADD, flags=4)
                await store_flags(pool, account, mailbox, [uid - 1, uid + 1], flagged)
            if uid or not is_read:
                await imap.deliver(account, *[LETTER] * arrivals)
            return page

        monkeypatch.setattr("imap_gateway.memory.loading.load_page", changing)
        if not is_read:  # more than a page comes each time
            with pytest.raises(Unavailable):
                await opened(pool, account)
            return
        _, view = await opened(pool, account)

        rows = await pool.fetch("select uid, flags, modseq from messages order by uid")
        shown = zip(view.rows.uids, view.rows.flags, view.rows.modseqs, strict=True)
        assert list(shown) == [(row["uid"], row["flags"], row["modseq"]) for row in rows]
        assert [row["uid"] for row in rows if row["flags"]] == [1, 3, 32, 34, 39, 41]


async def test_who_selects_while_a_mailbox_is_read_may_know_of_a_later_step(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (
        "posthouse.storage.snapshots",
        "imap_gateway.memory.loading",
        "imap_gateway.memory.views",
    ):
        monkeypatch.setattr(f"{module}.CHUNK_MESSAGES", 3)
    account, positions = await add_reader(pool), list[Position | None]()
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(account, *[LETTER] * 4)
        views = Views(pool, asyncio.get_running_loop().time)

        async def overtaken(queries: Queries, *where: int) -> Delta:
            delta = await changes_since(queries, *where)
            await imap.deliver(account, LETTER)
            box = await find_mailbox(pool, account, "INBOX")
            positions.append(views.open_ahead(box, Reader()))
            return delta

        with monkeypatch.context() as patch:
            patch.setattr("imap_gateway.memory.views.changes_since", overtaken)
            first = await open_inbox(views, pool, account, Reader())
        [ahead] = positions
        assert ahead is not None

        await views.recall(ahead)

        assert (first.count, ahead.count, list(ahead.uids)) == (4, 5, [1, 2, 3, 4, 5])


BUDGET = 5000  # octets: one view of fifty messages, not two


async def test_all_views_together_stay_within_their_budget(pool: Pool, tmp_path: Path) -> None:
    async with gateway(pool, tmp_path) as imap:
        readers = {await add_reader(pool, f"reader{n}"): Reader() for n in range(8)}
        for account in readers:
            await imap.deliver(account, *[LETTER] * 20)
        views = Views(pool, asyncio.get_running_loop().time, max_octets=BUDGET)

        positions = []
        for account, reader in readers.items():
            positions.append(await open_inbox(views, pool, account, reader))
            reader.is_idle = True
            assert 0 < views.octets <= BUDGET
        assert [position.is_here for position in positions] == [False] * 7 + [True]

        for position, reader in zip(positions, readers.values(), strict=True):
            reader.is_idle = False
            await views.recall(position)
            assert list(position.uids) == list(range(1, 21))
            reader.is_idle = True
            assert 0 < views.octets <= BUDGET
        for position in positions:
            views.release(position)


async def test_who_is_at_work_keeps_his_mailbox_and_others_are_refused(
    pool: Pool, tmp_path: Path
) -> None:
    anna, bert = Reader(), Reader()
    async with gateway(pool, tmp_path) as imap:
        accounts = [await add_reader(pool, name) for name in ("anna", "bert")]
        for account in accounts:
            await imap.deliver(account, *[LETTER] * 50)
        views = Views(pool, asyncio.get_running_loop().time, max_octets=BUDGET)
        first = await open_inbox(views, pool, accounts[0], anna)

        with pytest.raises(Unavailable):
            await open_inbox(views, pool, accounts[1], bert)
        assert first.is_here

        anna.is_idle = True
        second = await open_inbox(views, pool, accounts[1], bert)
        assert (first.is_here, second.is_here) == (False, True)


async def test_a_dropped_mailbox_comes_back_with_the_numbers_that_were_told(
    pool: Pool, tmp_path: Path
) -> None:
    account, other = await add_reader(pool), await add_reader(pool, "bert")
    hub = Hub()
    async with (
        gateway(pool, tmp_path, hub=hub, views_octets=BUDGET) as imap,
        gateway(pool, tmp_path, hub=hub) as elsewhere,
    ):
        for owner in (account, other):
            await elsewhere.deliver(owner, *[LETTER] * 50)
        users = [await imap.connect() for _ in range(3)]
        colleague = await elsewhere.connect()
        for user, name in zip([*users, colleague], ("anna", "anna", "bert", "anna"), strict=True):
            await user.login(name)
        waiting, counting, stranger = users
        for user in (waiting, counting, colleague):
            await user.say("SELECT INBOX")
        await waiting.send(b"i IDLE\r\n")
        assert await waiting.hear() == b"+ idling"

        await stranger.say("SELECT INBOX")  # drops the mailbox of the first two
        assert imap.house.views.octets <= BUDGET
        await colleague.say("STORE 3,7,50 +FLAGS.SILENT (\\Deleted)")
        await colleague.say("STORE 9 +FLAGS.SILENT (\\Flagged)")
        await colleague.say("EXPUNGE")
        await elsewhere.deliver(account, LETTER)

        told = [await waiting.hear()]
        while not told[-1].endswith(b" RECENT"):
            told.append(await waiting.hear())
        assert [line for line in told if b"EXPUNGE" in line] == [
            b"* 50 EXPUNGE",
            b"* 7 EXPUNGE",
            b"* 3 EXPUNGE",
        ]
        assert told[-2] == b"* 48 EXISTS"
        await stranger.say("NOOP")
        await stranger.say("UNSELECT")
        await stranger.say("SELECT INBOX")
        assert imap.house.views.octets <= BUDGET
        assert await counting.say("FETCH 3:4,49:50 UID") == [
            b"* 4 FETCH (UID 4)",
            b"* 49 FETCH (UID 49)",
            b"NO [EXPUNGEISSUED] Some messages were expunged",
        ]
        assert await counting.say("SEARCH 1:10") == [
            b"* SEARCH 1 2 4 5 6 8 9 10",
            b"* 9 FETCH (FLAGS (\\Flagged))",
            b"OK SEARCH done",
        ]
        assert await counting.say("NOOP") == [
            b"* 50 EXPUNGE",
            b"* 7 EXPUNGE",
            b"* 3 EXPUNGE",
            b"* 48 EXISTS",
            b"* 0 RECENT",
            b"OK done",
        ]
        assert (await counting.say("UID SEARCH ALL"))[0].split()[-2:] == [b"49", b"51"]


async def test_a_dropped_mailbox_without_its_history_ends_the_session(
    pool: Pool, tmp_path: Path
) -> None:
    account, reader = await add_reader(pool), Reader()
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(account, *[LETTER] * 3)
        views = Views(pool, asyncio.get_running_loop().time, max_octets=1)
        position = await open_inbox(views, pool, account, reader)
        reader.is_idle = True
        await views.refresh(position.view)
        views.release(await open_inbox(views, pool, await add_reader(pool, "bert"), Reader()))
        assert not position.is_here
        reader.is_idle = False

        await expunge(pool, account, position.view.mailbox, [2], deleted_only=False)
        await views.recall(position)
        assert list(position.uids) == [1, 2, 3]
        assert position.row(1) == -1

        position.forget()
        await imap.deliver(account, LETTER)
        await prune_changes(pool, account, position.view.mailbox, keep=1)
        with pytest.raises(Farewell):
            await views.recall(position)


async def test_a_dropped_mailbox_is_expunged_by_close(pool: Pool, tmp_path: Path) -> None:
    accounts = [await add_reader(pool), await add_reader(pool, "bert")]
    async with gateway(pool, tmp_path, views_octets=1) as imap:
        for account in accounts:
            await imap.deliver(account, *[LETTER] * 3)
        anna, bert = await imap.connect(), await imap.connect()
        await anna.login("anna")
        await bert.login("bert")
        await anna.say("SELECT INBOX")
        await anna.say("STORE 2 +FLAGS (\\Deleted)")
        await bert.say("SELECT INBOX")  # drops the other

        assert await anna.say("CLOSE") == [b"OK closed"]

        assert b"* 2 EXISTS" in await anna.say("SELECT INBOX")
