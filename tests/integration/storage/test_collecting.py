"""Collecting on a real PostgreSQL: tries to make it remove something that lives."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from posthouse.mail.outcome import Discarded
from posthouse.storage import ledger, mailboxes, messages
from posthouse.storage.collecting import (
    collect_contents,
    forget_ended_letters,
    needed_objects,
    prune_history,
)
from posthouse.storage.filing import Filed, Filing, file
from posthouse.storage.pool import Pool, transaction
from support.filings import accepted, add_accounts

pytestmark = pytest.mark.integration

AT_ONCE = timedelta(0)


async def _anna(pool: Pool) -> int:
    return (await add_accounts(pool, "anna"))["anna"]


async def _filed(pool: Pool, *accounts: int) -> tuple[UUID, list[Filed]]:
    filings: list[Filing] = await accepted(pool, *accounts)
    results = await file(pool, filings)
    return filings[0].id, [result for result in results if isinstance(result, Filed)]


async def _contents(pool: Pool) -> int:
    found = await pool.fetchval("select count(*) from contents")
    assert isinstance(found, int)
    return found


async def _box(pool: Pool, account: int, name: str) -> int:
    return (await mailboxes.find_mailbox(pool, account, name)).id


async def _expunge(pool: Pool, box: Filed) -> None:
    await messages.expunge(pool, box.account, box.mailbox, [box.uid], deleted_only=False)


async def test_contents_and_search_text_go_after_the_last_message(pool: Pool) -> None:
    account = await _anna(pool)
    ident, [filed] = await _filed(pool, account)
    await pool.execute(
        "insert into search (account_id, content_id, from_f, to_f, cc_f, subject_f, header_f)"
        " select account_id, content_id, '', '', '', '', '' from contents"
    )
    await _expunge(pool, filed)

    assert await collect_contents(pool, timedelta(days=1)) == 0
    assert await needed_objects(pool, [ident]) == {ident}
    assert await collect_contents(pool, AT_ONCE) == 1

    assert await _contents(pool) == 0
    assert await pool.fetchval("select count(*) from search") == 0
    assert await needed_objects(pool, [ident]) == set()
    assert await pool.fetchval("select count(*) from expunged") == 0


async def test_a_mailbox_that_was_emptied_goes_part_by_part(pool: Pool) -> None:
    account = await _anna(pool)
    boxes = [await _filed(pool, account) for _ in range(450)]
    [first] = boxes[0][1]
    uids = [box.uid for _, [box] in boxes]
    gone = await messages.expunge(pool, account, first.mailbox, uids, deleted_only=False)
    assert len(gone.uids) == len(boxes)

    noted = await pool.fetch("select cardinality(contents) as many from expunged order by many")
    assert [row["many"] for row in noted] == [50, 200, 200]
    assert await collect_contents(pool, AT_ONCE) == len(boxes)
    assert await _contents(pool) == 0


async def test_contents_that_a_copy_shows_stay(pool: Pool) -> None:
    account = await _anna(pool)
    ident, [filed] = await _filed(pool, account)
    archive = await _box(pool, account, "Archive")
    copied = await messages.copy(pool, account, (filed.mailbox, archive), [filed.uid])
    await _expunge(pool, filed)

    assert await collect_contents(pool, AT_ONCE) == 0
    assert await needed_objects(pool, [ident]) == {ident}

    await messages.expunge(pool, account, archive, [copied.first_uid], deleted_only=False)
    assert await collect_contents(pool, AT_ONCE) == 1


async def test_a_moved_message_keeps_its_contents(pool: Pool) -> None:
    account = await _anna(pool)
    _, [filed] = await _filed(pool, account)
    trash = await _box(pool, account, "Trash")
    await messages.copy(pool, account, (filed.mailbox, trash), [filed.uid], is_move=True)

    assert await collect_contents(pool, AT_ONCE) == 0
    assert await _contents(pool) == 1


async def test_messages_that_are_moved_all_the_time_are_never_collected(pool: Pool) -> None:
    account = await _anna(pool)
    boxes = [await _box(pool, account, name) for name in ("INBOX", "Trash", "Archive")]
    filings = [one for _ in range(20) for one in await accepted(pool, account)]
    await file(pool, filings)

    async def move_round() -> None:
        for turn in range(30):
            source, target = boxes[turn % 3], boxes[(turn + 1) % 3]
            uids = await pool.fetch("select uid from messages where mailbox_id = $1", source)
            wanted = [row["uid"] for row in uids]
            await messages.copy(pool, account, (source, target), wanted, is_move=True)

    async def collect_meanwhile(moving: asyncio.Task[None]) -> int:
        gone = 0
        while not moving.done():
            gone += await collect_contents(pool, AT_ONCE)
        return gone

    moving = asyncio.create_task(move_round())
    assert sum(await asyncio.gather(collect_meanwhile(moving), collect_meanwhile(moving))) == 0
    await moving
    assert await _contents(pool) == len(filings)


async def test_a_copy_that_is_not_committed_yet_protects_its_contents(pool: Pool) -> None:
    account = await _anna(pool)
    _, [filed] = await _filed(pool, account)
    archive = await _box(pool, account, "Archive")
    async with transaction(pool) as copying:
        await messages.copy(copying, account, (filed.mailbox, archive), [filed.uid])
        expunging = asyncio.create_task(_expunge(pool, filed))
        assert await collect_contents(pool, AT_ONCE) == 0
    await expunging

    assert await collect_contents(pool, AT_ONCE) == 0
    assert await _contents(pool) == 1


async def test_another_account_s_contents_of_the_same_object_keep_it(pool: Pool) -> None:
    accounts = await add_accounts(pool, "anna", "bert")
    ident, filed = await _filed(pool, *accounts.values())
    await _expunge(pool, filed[0])

    assert await collect_contents(pool, AT_ONCE) == 1
    assert await needed_objects(pool, [ident]) == {ident}


async def test_contents_go_with_a_deleted_mailbox(pool: Pool) -> None:
    account = await _anna(pool)
    _, [filed] = await _filed(pool, account)
    trash = await _box(pool, account, "Trash")
    await messages.copy(pool, account, (filed.mailbox, trash), [filed.uid], is_move=True)
    await mailboxes.delete_mailbox(pool, account, "Trash")

    assert await collect_contents(pool, AT_ONCE) == 1


@pytest.mark.parametrize("state", ["accepted", "routed", "deferred", "dead"])
async def test_an_open_recipient_needs_the_object_whatever_its_state(
    pool: Pool, state: str
) -> None:
    account = await _anna(pool)
    [one, other] = await accepted(pool, account, account)
    await ledger.settle(pool, one.id, [Discarded(n=one.n, rule="a rule")], 1)
    await pool.execute("update recipients set state = $1 where n = $2", state, other.n)

    assert await needed_objects(pool, [one.id]) == {one.id}
    await ledger.settle(pool, one.id, [Discarded(n=other.n, rule="a rule")], 1)
    assert await needed_objects(pool, [one.id]) == set()


async def test_history_is_kept_to_the_last_steps_of_each_mailbox(pool: Pool) -> None:
    accounts = await add_accounts(pool, "anna", "bert")
    for _ in range(5):
        await _filed(pool, accounts["anna"])
    await _filed(pool, accounts["bert"])

    assert await prune_history(pool, keep=2) == 3

    rows = await pool.fetch("select account_id, modseq from changes order by 1, 2")
    assert [tuple(row) for row in rows] == [
        (accounts["anna"], 5),
        (accounts["anna"], 6),
        (accounts["bert"], 2),
    ]
    assert await prune_history(pool, keep=2) == 0


async def test_ended_letters_are_forgotten_and_waiting_ones_never(pool: Pool) -> None:
    for state, days in (("waiting", 100), ("replayed", 100), ("discarded", 100), ("discarded", 1)):
        await pool.execute(
            "insert into dead_letters (road, service, reason, fingerprint, body, attempts,"
            " first_failed, last_failed, state, ended_at) values ('r', 's', 'x', 'f', '', 1, now(),"
            " now(), $1, now() - make_interval(days => $2))",
            state,
            days,
        )

    assert await forget_ended_letters(pool, timedelta(days=90)) == 2
    left = await pool.fetch("select state from dead_letters order by id")
    assert [row["state"] for row in left] == ["waiting", "discarded"]
