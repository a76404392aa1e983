"""What imports do to keywords and flags: none is lost, none of the owner's own changes is undone."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from posthouse.mail.ids import new_id
from posthouse.storage import merging
from posthouse.storage.appending import Appended, NewMessage, append_all
from posthouse.storage.importing import MAX_KEYWORDS, Import, adopt, import_message, keyword_ids
from posthouse.storage.mailboxes import NoSuchMailbox, delete_mailbox
from posthouse.storage.merging import OldFlags, merge_flags
from posthouse.storage.messages import FlagChange, Mode, add_keywords, keyword_names, store_flags
from posthouse.storage.pool import Pool
from support.filings import LETTER, SUMMARY, add_accounts

pytestmark = pytest.mark.integration

_FLAGS = """
    select flags, coalesce(keywords, '{}') as words from messages
     where account_id = $1 and mailbox_id = $2 and uid = $3
"""


async def test_keywords_differ_by_case_in_nothing_and_many_fit(pool: Pool) -> None:
    account = (await add_accounts(pool, "anna"))["anna"]
    names = [f"Word{n}" for n in range(MAX_KEYWORDS + 5)]

    twice = await add_keywords(pool, account, ["Work", "work"])
    again = await add_keywords(pool, account, ["WORK"])
    found = await keyword_ids(pool, account, ["work", "wORK", *names, "word0"])

    assert twice == again == {"Work": twice["Work"]}
    assert found["work"] == found["wORK"] == twice["Work"]
    assert found["word0"] == found["Word0"]
    assert len(set(found.values())) == MAX_KEYWORDS == len(await keyword_names(pool, account))
    assert "Word0" in found
    assert names[-1] not in found


async def test_flags_of_both_sides_are_kept(pool: Pool) -> None:
    account = (await add_accounts(pool, "anna"))["anna"]
    where = account, "Old", 77
    await adopt(pool, where)
    words = list((await keyword_ids(pool, account, ["a", "b", "c"])).values())
    chance = random.Random(5)  # noqa: S311 - cases, no secrets

    def some() -> tuple[int, frozenset[int]]:
        return chance.randrange(32), frozenset(w for w in words if chance.random() < 0.5)

    before, here, there = ([some() for _ in range(40)] for _ in range(3))
    mailbox = 0
    for uid, (bits, numbers) in enumerate(before, 1):
        message = NewMessage(
            account=account, mailbox="Old", object_id=new_id(), size=len(LETTER), summary=SUMMARY,
            internaldate=datetime.now(UTC), flags=bits, keywords=sorted(numbers),
        )  # fmt: skip
        done = await import_message(pool, Import(message=message, uidvalidity=77, uid=uid))
        assert done is not None
        mailbox = done.mailbox
        change = FlagChange(
            mode=Mode.REPLACE, flags=here[uid - 1][0], keywords=sorted(here[uid - 1][1])
        )
        await store_flags(pool, account, mailbox, [uid], change)

    now = [OldFlags(uid=uid, flags=bits, keywords=w) for uid, (bits, w) in enumerate(there, 1)]
    first = await merge_flags(pool, where, now)
    second = await merge_flags(pool, where, now)

    assert first.count == sum(one != other for one, other in zip(before, there, strict=True))
    assert (second.count, second.modseq) == (0, first.modseq)
    for uid, (b, h, t) in enumerate(zip(before, here, there, strict=True), 1):
        row = await pool.fetchrow(_FLAGS, account, mailbox, uid)
        assert row is not None
        assert row["flags"] == (h[0] | t[0] & ~b[0]) & ~(b[0] & ~t[0])
        assert set(row["words"]) == (h[1] | t[1] - b[1]) - (b[1] - t[1])
    await delete_mailbox(pool, account, "Old")
    assert await pool.fetchval("select count(*) from imports") == 0


async def test_what_was_deleted_there_goes_here_and_nothing_else(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "EXPUNGED_AT_ONCE", 3)
    account = (await add_accounts(pool, "anna"))["anna"]
    where = account, "Old", 77
    await adopt(pool, where)

    def message() -> NewMessage:
        return NewMessage(
            account=account, mailbox="Old", object_id=new_id(), size=len(LETTER), summary=SUMMARY,
            internaldate=datetime.now(UTC), flags=0, keywords=(),
        )  # fmt: skip

    for uid in range(1, 11):
        await import_message(pool, Import(message=message(), uidvalidity=77, uid=uid))
    [own] = await append_all(pool, [message()])
    assert isinstance(own, Appended)

    async def uids() -> list[int]:
        rows = await pool.fetch("select uid from messages where account_id = $1", account)
        return sorted(row["uid"] for row in rows)

    first = await merging.expunge_gone(pool, where, (1, 8), [2, 8])
    assert (first.count, await uids()) == (6, [2, 8, 9, 10, own.uid])
    assert (await merging.expunge_gone(pool, where, (1, 8), [2, 8])).count == 0
    assert await import_message(pool, Import(message=message(), uidvalidity=77, uid=3)) is None
    assert (await merging.expunge_gone(pool, where, (9, 2**32 - 1), [])).count == 2
    assert await uids() == [2, 8, own.uid]
    with pytest.raises(NoSuchMailbox):
        await merging.expunge_gone(pool, (account, "Old", 78), (1, 10), [])
