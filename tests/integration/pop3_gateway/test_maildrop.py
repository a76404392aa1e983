"""Maildrops on a real PostgreSQL: one session at a time, deletion only under the lease."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from posthouse.storage import mailboxes, maildrop
from posthouse.storage.filing import file
from posthouse.storage.maildrop import InUse, Lease, LeaseLost
from posthouse.storage.messages import expunge
from posthouse.storage.pool import Pool
from support.filings import LETTER, PREFIX, accepted, add_accounts

pytestmark = pytest.mark.integration


async def _filled(pool: Pool, count: int) -> int:
    accounts = await add_accounts(pool, "anna")
    for _ in range(count):
        await file(pool, await accepted(pool, accounts["anna"]))
    return accounts["anna"]


async def _expire(pool: Pool) -> None:
    await pool.execute("update maildrop_leases set until = now() - interval '1 second'")


async def test_a_drop_lists_the_inbox(pool: Pool) -> None:
    account = await _filled(pool, 3)
    inbox = await mailboxes.find_mailbox(pool, account, "INBOX")
    await expunge(pool, account, inbox.id, [2], deleted_only=False)

    drop = await maildrop.open_drop(pool, account)

    assert list(drop.uids) == [1, 3]
    assert list(drop.sizes) == [len(PREFIX) + len(LETTER)] * 2
    assert (drop.mailbox, drop.uidvalidity) == (inbox.id, inbox.uidvalidity)


async def test_a_large_drop_is_read_in_chunks(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await _filled(pool, 5)
    monkeypatch.setattr(maildrop, "CHUNK_MESSAGES", 2)

    assert list((await maildrop.open_drop(pool, account)).uids) == [1, 2, 3, 4, 5]


async def test_of_many_sessions_one_gets_the_lease(pool: Pool) -> None:
    account = await _filled(pool, 0)
    leases = [Lease(account=account, holder=uuid4()) for _ in range(12)]

    results = await asyncio.gather(
        *(maildrop.take(pool, lease) for lease in leases), return_exceptions=True
    )

    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, InUse) for result in results) == 11


async def test_a_lease_that_is_over_goes_to_the_next_and_its_old_holder_deletes_nothing(
    pool: Pool,
) -> None:
    account = await _filled(pool, 1)
    drop = await maildrop.open_drop(pool, account)
    old, new = (Lease(account=account, holder=uuid4()) for _ in range(2))
    await maildrop.take(pool, old)
    await _expire(pool)

    await maildrop.take(pool, new)

    assert await maildrop.renew(pool, [old, new]) == {new.holder}
    with pytest.raises(LeaseLost):
        await maildrop.delete(pool, old, drop.mailbox, [1])
    assert len((await maildrop.open_drop(pool, account)).uids) == 1


async def test_a_lease_that_is_over_and_that_nobody_took_is_its_holder_s_still(pool: Pool) -> None:
    account = await _filled(pool, 2)
    drop = await maildrop.open_drop(pool, account)
    lease = Lease(account=account, holder=uuid4())
    await maildrop.take(pool, lease)
    await _expire(pool)

    assert (await maildrop.delete(pool, lease, drop.mailbox, [1])).count == 1


async def test_deleting_gives_the_lease_back_and_tells_what_went(pool: Pool) -> None:
    account = await _filled(pool, 3)
    drop = await maildrop.open_drop(pool, account)
    lease = Lease(account=account, holder=uuid4())
    await maildrop.take(pool, lease)

    done = await maildrop.delete(pool, lease, drop.mailbox, [1, 3, 99])

    assert done.count == 2
    await maildrop.take(pool, Lease(account=account, holder=uuid4()))
    inbox = await mailboxes.find_mailbox(pool, account, "INBOX")
    assert (inbox.exists, inbox.octets, inbox.modseq) == (
        1,
        len(PREFIX) + len(LETTER),
        done.modseq,
    )


async def test_a_released_lease_can_be_taken_again(pool: Pool) -> None:
    account = await _filled(pool, 0)
    lease = Lease(account=account, holder=uuid4())
    await maildrop.take(pool, lease)
    await maildrop.release(pool, lease)

    await maildrop.take(pool, Lease(account=account, holder=uuid4()))
