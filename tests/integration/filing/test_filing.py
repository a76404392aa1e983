"""Filing on a real PostgreSQL: exactly once, in order, within the quota (promise 2)."""

from __future__ import annotations

import asyncio
import random
import struct
from dataclasses import replace

import pytest

from posthouse.mail.ids import new_id
from posthouse.storage import directory, mailboxes
from posthouse.storage.directory.shared_trees import add_shared_tree
from posthouse.storage.filing import Filed, Filing, Refused, file
from posthouse.storage.pool import Pool, transaction
from posthouse.storage.sharing import change_acl, find_owner
from support.filings import LETTER, PREFIX, SUMMARY, accepted, add_accounts

pytestmark = pytest.mark.integration

OCTETS = len(PREFIX) + len(LETTER)


async def _only_filed(pool: Pool, batch: list[Filing]) -> list[Filed]:
    results = await file(pool, batch)
    assert all(isinstance(result, Filed) for result in results), results
    return [result for result in results if isinstance(result, Filed)]


async def test_a_message_is_filed_with_its_summary_and_its_ledger_row_is_settled(
    pool: Pool,
) -> None:
    accounts = await add_accounts(pool, "anna")
    [filing] = await accepted(pool, accounts["anna"])

    [filed] = await _only_filed(pool, [filing])

    inbox = await mailboxes.find_mailbox(pool, accounts["anna"], "INBOX")
    assert (inbox.exists, inbox.octets, inbox.uidnext) == (1, OCTETS, 2)
    assert (filed.mailbox, filed.uid, filed.modseq) == (inbox.id, 1, inbox.modseq)
    row = await pool.fetchrow("select * from messages join contents using (account_id, content_id)")
    assert row is not None
    assert (row["uid"], row["modseq"], row["prefix"]) == (1, inbox.modseq, PREFIX)
    assert (
        row["object_id"],
        row["envelope"],
        row["bodystructure"],
        row["header"],
        row["parts"],
    ) == (
        filing.id,
        SUMMARY.envelope,
        SUMMARY.bodystructure,
        SUMMARY.header,
        SUMMARY.parts,
    )
    recipient = await pool.fetchrow("select * from recipients")
    assert recipient is not None
    assert (recipient["state"], recipient["uid"], recipient["folder"]) == ("delivered", 1, "INBOX")
    assert recipient["settled_at"] is not None


async def test_a_redelivered_message_is_filed_once(pool: Pool) -> None:
    accounts = await add_accounts(pool, "anna")
    batch = await accepted(pool, accounts["anna"])
    await file(pool, batch)

    again = await file(pool, batch)

    assert again == [Refused.SETTLED]
    assert await pool.fetchval("select count(*) from messages") == 1


async def test_the_same_recipient_twice_in_one_batch_is_filed_once(pool: Pool) -> None:
    accounts = await add_accounts(pool, "anna")
    [filing] = await accepted(pool, accounts["anna"])

    first, second = await file(pool, [filing, filing])

    assert isinstance(first, Filed)
    assert second is Refused.SETTLED
    assert await pool.fetchval("select count(*) from messages") == 1


@pytest.mark.parametrize(("folder", "name"), [("", "INBOX"), ("archive", "Archive")])
async def test_many_deliveries_at_once_file_each_message_once_in_commit_order(
    pool: Pool, folder: str, name: str
) -> None:
    accounts = await add_accounts(pool, "anna", "bert", "carl")
    filings = [
        one for _ in range(60) for one in await accepted(pool, *accounts.values(), folder=folder)
    ]
    chance = random.Random(7)  # noqa: S311 - an order, not a secret
    doubled = [chance.sample(filings, k=40) for _ in range(30)] + [filings]

    async with asyncio.TaskGroup() as tasks:
        for batch in doubled:
            tasks.create_task(file(pool, batch))

    for account in accounts.values():
        inbox = await mailboxes.find_mailbox(pool, account, name)
        rows = await pool.fetch(
            "select uid, modseq from messages where account_id = $1 order by uid", account
        )
        assert [row["uid"] for row in rows] == list(range(1, 61))
        assert [row["modseq"] for row in rows] == sorted(row["modseq"] for row in rows)
        assert (inbox.exists, inbox.octets, inbox.uidnext) == (60, 60 * OCTETS, 61)
        await _check_changes(pool, account, inbox.modseq)
    open_rows = await pool.fetchval("select count(*) from recipients where settled_at is null")
    assert open_rows == 0


async def _check_changes(pool: Pool, account: int, modseq: int) -> None:
    """The change log tells every message in one step each, without a gap."""
    rows = await pool.fetch("select * from changes where account_id = $1 order by modseq", account)
    assert [row["modseq"] for row in rows] == list(range(2, modseq + 1))
    told = [range(a, b + 1) for a, b in (struct.unpack(">qq", row["data"]) for row in rows)]
    assert [uid for span in told for uid in span] == list(range(1, 61))


async def test_what_does_not_fit_is_not_filed_and_what_fits_is(pool: Pool) -> None:
    accounts = await add_accounts(pool, "anna", quota=2 * OCTETS + 10)
    filings = [one for _ in range(4) for one in await accepted(pool, accounts["anna"])]
    big = replace(filings[1], size=5 * OCTETS)

    results = await file(pool, [filings[0], big, filings[2], filings[3]])

    assert [isinstance(result, Filed) for result in results] == [True, False, True, False]
    assert results[1] is results[3] is Refused.OVER_QUOTA
    inbox = await mailboxes.find_mailbox(pool, accounts["anna"], "INBOX")
    assert inbox.octets == 2 * OCTETS
    states = await pool.fetch("select state, count(*) from recipients group by 1 order by 1")
    assert [tuple(row) for row in states] == [("accepted", 2), ("delivered", 2)]


async def test_the_quota_counts_all_mailboxes_of_the_account(pool: Pool) -> None:
    accounts = await add_accounts(pool, "anna", quota=2 * OCTETS)
    await file(pool, await accepted(pool, accounts["anna"], folder="Archive"))
    await file(pool, await accepted(pool, accounts["anna"]))

    [result] = await file(pool, await accepted(pool, accounts["anna"]))

    assert result is Refused.OVER_QUOTA


@pytest.mark.parametrize(
    ("detail", "folder"),
    [
        ("", "INBOX"),
        ("archive", "Archive"),
        ("lists", "lists"),
        ("LISTS", "Lists"),
        ("inbox", "INBOX"),
        ("nowhere", "INBOX"),
        ("Sent", "INBOX"),
        ("drafts", "INBOX"),
        ("a\0b", "INBOX"),
        ("\udc80", "INBOX"),
    ],
)
async def test_the_detail_chooses_a_mailbox_that_exists(
    pool: Pool, detail: str, folder: str
) -> None:
    accounts = await add_accounts(pool, "anna")
    for name in ("Lists", "lists"):
        await mailboxes.create_mailbox(pool, accounts["anna"], name)

    [filed] = await _only_filed(pool, await accepted(pool, accounts["anna"], folder=detail))

    assert filed.folder == folder


async def test_mail_goes_into_a_shared_mailbox_only_where_anybody_may_post(pool: Pool) -> None:
    accounts = await add_accounts(pool, "anna")
    await add_shared_tree(pool, "sales@example.test", ["anna@example.test"], "lrswipkxtea")
    owner = await find_owner(pool, "sales@example.test")
    assert owner is not None
    box = await mailboxes.create_mailbox(pool, owner.account, "Offers")

    async def folder(poster: str = "") -> str:
        batch = await accepted(pool, owner.account, folder="offers")
        batch = [replace(one, poster=poster) for one in batch]
        [filed] = await _only_filed(pool, batch)
        return filed.folder

    assert await folder() == "INBOX"
    await change_acl(pool, owner.account, box.id, lambda _: {"anyone": "p"})
    assert await folder() == "Offers"
    await change_acl(pool, owner.account, box.id, lambda _: {"anna@example.test": "p"})
    assert await folder() == "INBOX"
    assert await folder(poster="anna@example.test") == "Offers"
    await directory.set_alias(pool, "inner@example.test", ["Anna@Example.Test"])
    await directory.set_alias(pool, "team@example.test", ["inner@example.test"])
    await change_acl(pool, owner.account, box.id, lambda _: {"group:team@example.test": "lp"})
    assert await folder(poster="anna@example.test") == "Offers"
    assert await folder(poster="bert@example.test") == "INBOX"
    acl = {"anyone": "p", "-group:team@example.test": "p"}
    await change_acl(pool, owner.account, box.id, lambda _: acl)
    assert await folder(poster="anna@example.test") == "INBOX"
    assert await folder() == "Offers"
    assert accounts["anna"] != owner.account


async def test_what_asks_for_a_mailbox_that_goes_meanwhile_lands_in_the_inbox(pool: Pool) -> None:
    accounts = await add_accounts(pool, "anna")
    await mailboxes.create_mailbox(pool, accounts["anna"], "Lists")
    batch = await accepted(pool, accounts["anna"], folder="lists")

    async with asyncio.TaskGroup() as tasks, transaction(pool) as tx:
        await mailboxes.delete_mailbox(tx, accounts["anna"], "Lists")
        filing = tasks.create_task(_only_filed(pool, batch))
        await _until_one_waits(pool)

    assert [filed.folder for filed in filing.result()] == ["INBOX"]


async def _until_one_waits(pool: Pool) -> None:
    """Return as soon as a statement of this database waits for a lock."""
    async with asyncio.timeout(10):
        while not await pool.fetchval(  # noqa: ASYNC110 - of the server, which tells nobody
            "select count(*) from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0.01)


async def test_an_account_that_is_gone_takes_nothing_and_others_do_not_suffer(pool: Pool) -> None:
    accounts = await add_accounts(pool, "anna", "bert")
    await directory.remove_account(pool, "anna@example.test")

    gone, filed = await file(pool, await accepted(pool, accounts["anna"], accounts["bert"]))

    assert gone is Refused.NO_ACCOUNT
    assert isinstance(filed, Filed)


async def test_what_the_ledger_does_not_know_is_not_filed_and_is_not_called_settled(
    pool: Pool,
) -> None:
    accounts = await add_accounts(pool, "anna")
    [filing] = await accepted(pool, accounts["anna"])

    [result] = await file(pool, [replace(filing, id=new_id())])

    assert result is Refused.UNKNOWN


async def test_a_transaction_that_is_rolled_back_leaves_nothing(pool: Pool) -> None:
    accounts = await add_accounts(pool, "anna")
    batch = await accepted(pool, accounts["anna"])

    with pytest.raises(RuntimeError, match="changed my mind"):  # noqa: PT012 - the block is the case
        async with transaction(pool) as tx:
            await file(tx, batch)
            raise RuntimeError("changed my mind")

    assert await pool.fetchval("select count(*) from messages") == 0
    assert isinstance((await file(pool, batch))[0], Filed)


async def test_nothing_to_file_is_no_trouble(pool: Pool) -> None:
    assert await file(pool, []) == []
