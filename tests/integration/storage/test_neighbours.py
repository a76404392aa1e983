"""Neighbouring UIDs, those near each other, and single ones go different ways through the database: to one end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from posthouse.mail.ids import new_id
from posthouse.mime import scan
from posthouse.storage.appending import NewMessage, append_all
from posthouse.storage.mailboxes import Mailbox, create_mailbox, find_mailbox
from posthouse.storage.messages import (
    DELETED,
    FLAGGED,
    SEEN,
    FlagChange,
    Mode,
    copy,
    expunge,
    store_flags,
)
from posthouse.storage.pool import Pool, transaction
from support.filings import add_accounts

pytestmark = pytest.mark.integration

LETTER = b"Subject: hello\r\n\r\nhello\r\n"


async def filled(pool: Pool, account: int, name: str, *, gone: Sequence[int] = ()) -> Mailbox:
    """Make a mailbox with UIDs 1 to 9 without those that are gone; 3 has a flag and a keyword."""
    made = await create_mailbox(pool, account, name)
    for uid in range(1, 10):
        new = NewMessage(
            account=account, mailbox=name, object_id=new_id(), size=len(LETTER), summary=scan(LETTER),
            internaldate=datetime.now(UTC), flags=FLAGGED if uid == 3 else 0,
            keywords=[7] if uid == 3 else [],
        )  # fmt: skip
        await append_all(pool, [new])
    await expunge(pool, account, made.id, gone, deleted_only=False)
    return made


async def state(pool: Pool, mailbox: Mailbox) -> list[tuple[object, ...]]:
    rows = await pool.fetch(
        "select uid, flags, keywords, modseq from messages"
        " where account_id = $1 and mailbox_id = $2 order by uid",
        mailbox.account, mailbox.id,
    )  # fmt: skip
    now = await find_mailbox(pool, mailbox.account, mailbox.name)
    return [tuple(row) for row in rows] + [(now.exists, now.octets, now.modseq, now.uidnext)]


async def states(pool: Pool, boxes: Sequence[Mailbox]) -> list[list[tuple[object, ...]]]:
    return [await state(pool, box) for box in boxes]


WAYS = ((2, 3, 4, 5, 6), (6, 5, 2, 3), (2, 3, 5, 6, 1_000_000))  # the same messages: 4 is gone
NAMES = ("one", "two", "three")


@pytest.mark.parametrize(
    "change",
    [
        FlagChange(mode=Mode.ADD, flags=SEEN | DELETED),
        FlagChange(mode=Mode.REMOVE, flags=FLAGGED, keywords=[7]),
        FlagChange(mode=Mode.REPLACE, flags=SEEN, keywords=[8]),
        FlagChange(mode=Mode.ADD, flags=SEEN, unchanged_since=4),
    ],
)
async def test_flags_of_neighbours(pool: Pool, change: FlagChange) -> None:
    account = (await add_accounts(pool, "anna"))["anna"]
    boxes = [await filled(pool, account, name, gone=[4]) for name in NAMES]

    done = [
        await store_flags(pool, account, box.id, uids, change)
        for box, uids in zip(boxes, WAYS, strict=True)
    ]

    assert done == [done[0]] * 3
    assert await states(pool, boxes) == [await state(pool, boxes[0])] * 3
    assert done[0].changed


@pytest.mark.parametrize("is_move", [False, True])
async def test_copies_and_moves_of_neighbours(pool: Pool, *, is_move: bool) -> None:
    account = (await add_accounts(pool, "anna"))["anna"]
    boxes = [await filled(pool, account, name, gone=[4]) for name in NAMES]
    targets = [await create_mailbox(pool, account, name) for name in ("four", "five", "six")]

    done = [
        await copy(pool, account, (box.id, target.id), uids, is_move=is_move)
        for box, target, uids in zip(boxes, targets, WAYS, strict=True)
    ]

    assert [one.source_uids for one in done] == [(2, 3, 5, 6)] * 3
    assert await states(pool, boxes) == [await state(pool, boxes[0])] * 3
    assert await states(pool, targets) == [await state(pool, targets[0])] * 3
    within = await copy(pool, account, (boxes[0].id, boxes[0].id), (7, 8, 9), is_move=True)
    assert list(within.source_uids) == [7, 8, 9]
    assert [row[0] for row in (await state(pool, boxes[0]))[:-1]][-3:] == [10, 11, 12]


async def test_expunge_of_neighbours_takes_the_deleted_ones_alone(pool: Pool) -> None:
    account = (await add_accounts(pool, "anna"))["anna"]
    boxes = [await filled(pool, account, name, gone=[4]) for name in NAMES]
    for box in boxes:
        change = FlagChange(mode=Mode.ADD, flags=DELETED)
        await store_flags(pool, account, box.id, (3, 5, 9), change)

    done = [
        await expunge(pool, account, box.id, uids) for box, uids in zip(boxes, WAYS, strict=True)
    ]

    assert [one.uids for one in done] == [(3, 5)] * 3
    assert await states(pool, boxes) == [await state(pool, boxes[0])] * 3


async def test_a_range_costs_one_descent_of_the_index(pool: Pool) -> None:
    account = (await add_accounts(pool, "anna"))["anna"]
    box = await filled(pool, account, "one")
    change = FlagChange(mode=Mode.ADD, flags=SEEN)
    scans = "select idx_scan from pg_stat_xact_user_tables where relname = 'messages'"

    async with transaction(pool) as tx:
        before = await tx.fetchval(scans)
        await store_flags(tx, account, box.id, range(1, 10), change)
        after = await tx.fetchval(scans)

    assert isinstance(before, int)
    assert after == before + 1


async def test_nobody_looks_whether_the_contents_of_what_moved_may_go(pool: Pool) -> None:
    account = (await add_accounts(pool, "anna"))["anna"]
    here, there = [await filled(pool, account, name) for name in ("one", "two")]

    await copy(pool, account, (here.id, there.id), (1, 2, 3), is_move=True)
    await copy(pool, account, (here.id, there.id), (4, 6, 9), is_move=True)

    assert await pool.fetchval("select count(*) from expunged") == 0
    moved = (await state(pool, there))[9:-1]
    assert [row[0] for row in moved] == [10, 11, 12, 13, 14, 15]
    assert [row[1] for row in moved] == [0, 0, FLAGGED, 0, 0, 0]
    assert [row[0] for row in (await state(pool, here))[:-1]] == [5, 7, 8]


async def test_flags_of_many_change_without_a_touch_of_the_index(pool: Pool) -> None:
    account = (await add_accounts(pool, "anna"))["anna"]
    box = await create_mailbox(pool, account, "one")
    await pool.execute(
        "insert into messages (account_id, mailbox_id, content_id, modseq, internaldate, savedate, uid, size)"
        " select $1, $2, n, 1, now(), now(), n, 10 from generate_series(1, 500) n",
        account, box.id,
    )  # fmt: skip
    hot = "select n_tup_hot_upd from pg_stat_xact_user_tables where relname = 'messages'"

    async with transaction(pool) as tx:
        change = FlagChange(mode=Mode.ADD, flags=SEEN)
        await store_flags(tx, account, box.id, range(1, 501), change)
        quick = await tx.fetchval(hot)

    assert isinstance(quick, int)
    assert quick > 480
