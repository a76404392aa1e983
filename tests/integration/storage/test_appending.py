"""Messages appended at the same time share a commit, and each is filed or refused for itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from posthouse.mail.errors import PermanentFailure
from posthouse.mail.ids import new_id
from posthouse.storage.appending import Appended, Appender, NewMessage, append_all
from posthouse.storage.mailboxes import NoSuchMailbox, create_mailbox, find_mailbox
from posthouse.storage.messages import OverQuota
from posthouse.storage.pool import Pool
from support.filings import LETTER, SUMMARY, add_accounts
from support.imap import check_sums

pytestmark = pytest.mark.integration


def a_message(account: int, mailbox: str = "INBOX", flags: int = 0) -> NewMessage:
    return NewMessage(
        account=account,
        mailbox=mailbox,
        object_id=new_id(),
        size=len(LETTER),
        summary=SUMMARY,
        internaldate=datetime.now(UTC),
        flags=flags,
        keywords=[flags, flags] if flags else [],
    )


async def test_what_is_refused_spoils_nothing_else(pool: Pool) -> None:
    anna = (await add_accounts(pool, "anna"))["anna"]
    poor = (await add_accounts(pool, "poor", quota=len(LETTER)))["poor"]
    archive = await create_mailbox(pool, anna, "Letters")
    inbox = await find_mailbox(pool, anna, "INBOX")

    done = await append_all(
        pool,
        [
            a_message(anna, flags=4),
            a_message(poor),
            a_message(anna, "Nowhere"),
            a_message(anna, "Letters"),
            a_message(poor),
            a_message(anna),
        ],
    )

    assert [type(one) for one in done] == [
        Appended, Appended, NoSuchMailbox, Appended, OverQuota, Appended,
    ]  # fmt: skip
    kept = [one for one in done if isinstance(one, Appended)]
    assert [(one.uid, one.modseq) for one in kept] == [(1, 2), (1, 2), (1, 2), (2, 3)]
    assert [one.mailbox for one in kept if one.uidvalidity == archive.uidvalidity] == [archive.id]
    rows = await pool.fetch(
        "select uid, flags, keywords from messages where account_id = $1 and mailbox_id = $2"
        " order by uid",
        anna,
        inbox.id,
    )
    assert [tuple(row) for row in rows] == [(1, 4, [4]), (2, 0, None)]
    for account in (anna, poor):
        await check_sums(pool, account)


async def test_one_alone_is_filed_as_among_others(pool: Pool) -> None:
    anna = (await add_accounts(pool, "anna"))["anna"]
    poor = (await add_accounts(pool, "poor", quota=len(LETTER)))["poor"]
    archive = await create_mailbox(pool, anna, "Letters")
    alone = (
        a_message(anna, "Letters", flags=4),
        a_message(poor),
        a_message(anna, "Nowhere"),
        a_message(poor),
        a_message(anna, "Letters"),
    )

    done = [(await append_all(pool, [message]))[0] for message in alone]

    assert [type(one) for one in done] == [
        Appended, Appended, NoSuchMailbox, OverQuota, Appended,
    ]  # fmt: skip
    assert [done[at] for at in (0, 4)] == [
        Appended(mailbox=archive.id, modseq=step, uid=uid, uidvalidity=archive.uidvalidity)
        for uid, step in ((1, 2), (2, 3))
    ]
    rows = await pool.fetch(
        """select uid, flags, keywords, modseq, m.size, object_id, envelope, bodystructure, header, parts
             from messages m join contents using (account_id, content_id)
            where account_id = $1 and mailbox_id = $2 order by uid""",
        anna,
        archive.id,
    )
    made = (SUMMARY.envelope, SUMMARY.bodystructure, SUMMARY.header, SUMMARY.parts)
    assert [tuple(row) for row in rows] == [
        (1, 4, [4], 2, len(LETTER), alone[0].object_id, *made),
        (2, 0, None, 3, len(LETTER), alone[4].object_id, *made),
    ]
    for account in (anna, poor):
        await check_sums(pool, account)


async def test_two_gateways_append_to_the_same_mailboxes_and_never_deadlock(pool: Pool) -> None:
    accounts = list((await add_accounts(pool, "anna", "bert")).values())
    for account in accounts:
        await create_mailbox(pool, account, "Letters")
    wanted = [a_message(a, name) for a in accounts for name in ("INBOX", "Letters")] * 10
    async with Appender(pool) as one, Appender(pool) as other:
        done: list[Appended | PermanentFailure] = list(
            await asyncio.gather(
                *(one.append(message) for message in wanted),
                *(other.append(message) for message in reversed(wanted)),
            )
        )

    found = {(d.mailbox, d.uid) for d in done if isinstance(d, Appended)}
    assert len(found) == len(done) == 80
    assert {uid for _, uid in found} == set(range(1, 21))
    for account in accounts:
        await check_sums(pool, account)
