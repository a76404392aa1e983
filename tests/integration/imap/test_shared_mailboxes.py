"""Mailboxes that several accounts have open: over two processes, at the same moment, in both directions."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from posthouse.storage.copying import Terms, copy_to
from posthouse.storage.directory.shared_trees import add_shared_tree
from posthouse.storage.mailboxes import INBOX, find_mailbox
from posthouse.storage.messages import OverQuota
from posthouse.storage.pool import Pool
from posthouse.storage.quotas import Limits, Scope, set_limits
from posthouse.storage.seen import count_unseen, read_seen, store_seen
from posthouse.storage.sharing import find_owner
from support.imap import LETTER, Hub, User, add_reader, check_sums, gateway

pytestmark = pytest.mark.integration

ANNA, BERT, SALES = "anna@example.test", "bert@example.test", "sales@example.test"


async def heard(user: User, wanted: bytes) -> None:
    """Wait for a response."""
    while await user.hear() != wanted:
        pass


async def done(user: User, line: str) -> list[bytes]:
    answers = await user.say(line)
    assert answers[-1].startswith(b"OK"), answers
    return answers


async def test_news_of_a_shared_mailbox_reach_every_account_on_every_process(
    pool: Pool, tmp_path: Path
) -> None:
    await add_reader(pool)
    await add_reader(pool, "bert")
    await add_shared_tree(pool, SALES, [ANNA, BERT], "lrswipkxtea")
    sales = await find_owner(pool, SALES)
    assert sales is not None
    hub = Hub()
    async with gateway(pool, tmp_path, hub=hub) as one, gateway(pool, tmp_path, hub=hub) as other:
        anna, bert = await one.connect(), await other.connect()
        for user, name in ((anna, "anna"), (bert, "bert")):
            await user.login(name)
            await done(user, "SELECT shared/sales")
            await user.send(b"i IDLE\r\n")
            await user.hear()

        await one.deliver(sales.account, LETTER)
        await heard(anna, b"* 1 EXISTS")
        await heard(bert, b"* 1 EXISTS")
        await anna.send(b"DONE\r\n")
        await heard(anna, b"i OK IDLE ended")
        await done(anna, "STORE 1 +FLAGS (\\Flagged \\Seen)")
        line = await bert.hear()
        while not line.startswith(b"* 1 FETCH (FLAGS (\\Flagged"):
            line = await bert.hear()
        assert b"\\Seen" not in line
        assert (await done(anna, "SEARCH SEEN"))[0] == b"* SEARCH 1"
    await check_sums(pool, sales.account)


async def test_what_is_recent_in_a_shared_tree_is_so_to_the_first(
    pool: Pool, tmp_path: Path
) -> None:
    await add_reader(pool)
    await add_reader(pool, "bert")
    await add_shared_tree(pool, SALES, [ANNA, BERT], "lrs")
    sales = await find_owner(pool, SALES)
    assert sales is not None
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(sales.account, LETTER)
        anna, bert = await imap.connect(), await imap.connect()
        for user, name in ((anna, "anna"), (bert, "bert")):
            await user.login(name)
        assert b"* 1 RECENT" in await done(anna, "SELECT shared/sales")
        assert b"* 0 RECENT" in await done(bert, "SELECT shared/sales")


async def test_what_a_guest_has_read_outlives_the_memory_of_its_mailbox(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    await add_reader(pool, "bert")
    async with gateway(pool, tmp_path, views_octets=1) as imap:
        await imap.deliver(account, LETTER, LETTER)
        anna, bert = await imap.connect(), await imap.connect()
        await anna.login()
        await done(anna, "SETACL INBOX bert lrs")
        await bert.login("bert")
        await done(bert, "SELECT user/anna")
        await done(bert, "STORE 2 +FLAGS (\\Seen)")
        await done(anna, "SELECT INBOX")  # drops what bert has open

        assert (await done(bert, "SEARCH UNSEEN"))[0] == b"* SEARCH 1"
        assert (await done(anna, "SEARCH UNSEEN"))[0] == b"* SEARCH 1 2"


async def _boxes(pool: Pool, *accounts: int) -> list[tuple[int, int]]:
    return [(a, (await find_mailbox(pool, a, INBOX)).id) for a in accounts]


async def test_moves_between_two_accounts_lose_and_double_nothing(
    pool: Pool, tmp_path: Path
) -> None:
    accounts = [await add_reader(pool), await add_reader(pool, "bert")]
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(accounts[0], *[LETTER] * 10)
        await imap.deliver(accounts[1], *[LETTER] * 10)
    one, other = await _boxes(pool, *accounts)
    terms = Terms(is_move=True)

    async with asyncio.TaskGroup() as tasks:
        for uid in range(1, 11):
            tasks.create_task(copy_to(pool, one, other, [uid], terms))
            tasks.create_task(copy_to(pool, other, one, [uid], terms))

    rows = await pool.fetch(
        "select m.account_id, c.object_id from messages m join contents c using (account_id, content_id)"
    )
    assert len(rows) == len({row["object_id"] for row in rows}) == 20
    assert sorted(row["account_id"] for row in rows) == sorted(accounts * 10)
    for account in accounts:
        await check_sums(pool, account)


async def test_a_copy_counts_where_it_comes_to_lie_and_keywords_keep_their_names(
    pool: Pool, tmp_path: Path
) -> None:
    accounts = [await add_reader(pool), await add_reader(pool, "bert")]
    async with gateway(pool, tmp_path) as imap:
        bert = await imap.connect()
        await bert.login("bert")
        await done(bert, "SELECT INBOX")
        for word in ("$Other", "$Mine"):
            assert (await bert.append("INBOX", LETTER, f"({word}) ")).startswith(b"OK")
        one, other = await _boxes(pool, *accounts)
        await copy_to(pool, other, one, [2], Terms())

        anna = await imap.connect()
        await anna.login()
        await done(anna, "SELECT INBOX")
        assert (await done(anna, "FETCH 1 FLAGS"))[0] == b"* 1 FETCH (FLAGS ($Mine \\Recent))"
        assert (await done(anna, "FETCH 1 BODY.PEEK[]"))[0].endswith(LETTER + b")")
    await set_limits(pool, Scope.USER, ANNA, Limits(messages=1))
    with pytest.raises(OverQuota):
        await copy_to(pool, other, one, [1], Terms(is_move=True))
    await check_sums(pool, accounts[1])


async def test_reading_is_kept_as_ranges(pool: Pool, tmp_path: Path) -> None:
    accounts = [await add_reader(pool), await add_reader(pool, "bert")]
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(accounts[0], *[LETTER] * 6)
    [box] = await _boxes(pool, accounts[0])

    await store_seen(pool, box, accounts[1], [1, 2, 3, 5, 99], on=True)
    late = await store_seen(pool, box, accounts[1], [5, 6], on=True, unchanged_since=1)
    await store_seen(pool, box, accounts[1], [2], on=False)
    nothing = await store_seen(pool, box, accounts[1], [2, 99], on=False)

    reading = await read_seen(pool, box, accounts[1])
    assert reading.ranges == ((1, 2), (3, 4), (5, 6))
    assert late.modified == (5, 6)
    assert (late.changed, nothing.changed) == (b"", b"")
    assert (await read_seen(pool, box, accounts[0])).ranges == ()


async def test_what_a_guest_has_not_read_is_counted_by_ranges(pool: Pool, tmp_path: Path) -> None:
    anna, bert = await add_reader(pool), await add_reader(pool, "bert")
    async with gateway(pool, tmp_path) as imap:
        await imap.deliver(anna, *[LETTER] * 9)
        [[_, inbox], [_, other]] = await _boxes(pool, anna, bert)
        user = await imap.connect()
        await user.login()
        await done(user, "SELECT INBOX")
        await store_seen(pool, (anna, inbox), bert, [1, 2, 4, 7, 8, 9], on=True)
        await done(user, "STORE 2,4 +FLAGS.SILENT (\\Deleted)")
        await done(user, "EXPUNGE")  # what is gone counts no more, read or not
    assert await count_unseen(pool, anna, [inbox], bert) == {inbox: 3}
    assert await count_unseen(pool, anna, [inbox], anna) == {inbox: 7}
    assert await count_unseen(pool, bert, [other], anna) == {other: 0}


async def test_what_a_guest_has_read_here_and_there_is_unpacked_once(pool: Pool) -> None:
    anna, bert = await add_reader(pool), await add_reader(pool, "bert")
    [[_, inbox]] = await _boxes(pool, anna)
    await pool.execute(_MANY, anna, inbox, 40_000)
    await pool.execute("update mailboxes set exists_ = 40000 where mailbox_id = $1", inbox)
    await pool.execute(_EVERY_OTHER, anna, inbox, bert, 40_000)
    async with asyncio.timeout(5):  # a minute if each message looks into all ranges
        assert await count_unseen(pool, anna, [inbox], bert) == {inbox: 20_000}
        for on, unread in ((True, 0), (False, 40_000)):
            uids = list(range(1, 40_001))
            done = await store_seen(pool, (anna, inbox), bert, uids, on=on)
            assert done.changed
            assert await count_unseen(pool, anna, [inbox], bert) == {inbox: unread}
            again = await store_seen(pool, (anna, inbox), bert, uids, on=on)
            assert (again.changed, again.modseq) == (b"", done.modseq)


_MANY = """
    insert into messages (account_id, mailbox_id, content_id, modseq, internaldate, savedate, uid, flags, size)
    select $1, $2, 1, 2, now(), now(), n, 0, 1 from generate_series(1, $3::int) n
"""
_EVERY_OTHER = """
    insert into seen (account_id, mailbox_id, reader, uids)
    select $1, $2, $3, range_agg(int8range(n, n, '[]')) from generate_series(1, $4::int, 2) n
"""
