"""What domains and tenants use is counted with what changes it: by everybody, at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from posthouse.mail.ids import new_id
from posthouse.storage import directory
from posthouse.storage.appending import Appended, NewMessage, append_all
from posthouse.storage.directory.tenants import add_tenant, assign_domain
from posthouse.storage.filing import Filed, Refused, file
from posthouse.storage.mailboxes import create_mailbox, delete_mailbox, find_mailbox
from posthouse.storage.messages import OverQuota, copy, expunge
from posthouse.storage.pool import Pool, transaction
from posthouse.storage.quotas import Limits, Scope, find_quota, recount, set_limits
from support.filings import DOMAIN, LETTER, PREFIX, SUMMARY, accepted, add_accounts

pytestmark = pytest.mark.integration

OCTETS = len(PREFIX) + len(LETTER)
MANY = Limits(octets=10**9, messages=10**6, mailboxes=10**4)

_REAL = """
    select coalesce(sum(octets), 0)::bigint as octets, coalesce(sum(exists_), 0) as messages, count(*) as mailboxes
      from mailboxes
"""


async def limited_house(pool: Pool, *names: str, limits: Limits = MANY) -> dict[str, int]:
    """Make accounts of a domain and a tenant that both have limits."""
    accounts = await add_accounts(pool, *names)
    await add_tenant(pool, "acme")
    await assign_domain(pool, DOMAIN, "acme")
    await set_limits(pool, Scope.DOMAIN, DOMAIN, limits)
    await set_limits(pool, Scope.TENANT, "acme", limits)
    return accounts


async def counted(pool: Pool) -> list[tuple[int, int, int]]:
    """Return what is counted: in the domain, in the tenant."""
    found = [
        await find_quota(pool, scope, name)
        for scope, name in ((Scope.DOMAIN, DOMAIN), (Scope.TENANT, "acme"))
    ]
    return [(one.octets, one.messages, one.mailboxes) for one in found if one is not None]


async def check_counts(pool: Pool) -> tuple[int, int, int]:
    """What is counted is what there is."""
    row = await pool.fetchrow(_REAL)
    assert row is not None
    real = int(row["octets"]), int(row["messages"]), int(row["mailboxes"])
    assert await counted(pool) == [real, real]
    return real


def letter(account: int, name: str) -> NewMessage:
    return NewMessage(
        account=account,
        mailbox=name,
        object_id=new_id(),
        size=len(LETTER),
        summary=SUMMARY,
        internaldate=datetime.now(UTC),
    )


async def append(pool: Pool, account: int, name: str) -> None:
    await append_all(pool, [letter(account, name)] * 3)


async def test_what_has_no_limits_is_summed_when_it_is_asked_for(pool: Pool) -> None:
    accounts = await limited_house(pool, "anna", "bert", limits=Limits())
    await file(pool, await accepted(pool, accounts["anna"], accounts["bert"]))

    octets, messages, _ = await check_counts(pool)

    assert (octets, messages) == (2 * OCTETS, 2)


async def test_each_limit_refuses_a_message_that_comes_alone(pool: Pool) -> None:
    accounts = await add_accounts(pool, "anna")
    await add_tenant(pool, "acme")
    message = letter(accounts["anna"], "INBOX")
    for scope, name in (
        (Scope.USER, f"anna@{DOMAIN}"),
        (Scope.DOMAIN, DOMAIN),
        (Scope.TENANT, "acme"),
    ):
        if scope is Scope.TENANT:
            await assign_domain(pool, DOMAIN, "acme")
        for limits in (Limits(octets=0), Limits(messages=0)):
            await set_limits(pool, scope, name, limits)
            [refused] = await append_all(pool, [message])
            assert isinstance(refused, OverQuota), (scope, limits)
        await set_limits(pool, scope, name, Limits())
    [done] = await append_all(pool, [message])
    assert isinstance(done, Appended)
    assert (done.uid, done.modseq) == (1, 2)  # nothing was left of what was refused


async def test_whatever_changes_the_use_counts_in_the_same_commit(pool: Pool) -> None:
    accounts = await limited_house(pool, "anna", "bert")
    anna = accounts["anna"]
    before = await check_counts(pool)

    await file(pool, await accepted(pool, anna, accounts["bert"]))
    assert await check_counts(pool) == (before[0] + 2 * OCTETS, 2, before[2])
    made = await create_mailbox(pool, anna, "Made")
    await append(pool, anna, "Made")
    inbox = await find_mailbox(pool, anna, "INBOX")
    await copy(pool, anna, (made.id, inbox.id), [1, 2], is_move=False)
    await check_counts(pool)
    await copy(pool, anna, (made.id, inbox.id), [3], is_move=True)
    await expunge(pool, anna, inbox.id, [1], deleted_only=False)
    assert (await check_counts(pool))[1] == 6
    await delete_mailbox(pool, anna, "Made")
    await check_counts(pool)
    await directory.remove_account(pool, "anna@example.test")
    assert (await check_counts(pool))[1] == 1


async def test_many_at_once_wait_for_nobody_and_lose_no_count(pool: Pool) -> None:
    names = [f"p{n}" for n in range(8)]
    accounts = await limited_house(pool, *names)
    batches = [await accepted(pool, *accounts.values()) for _ in range(12)]
    async with transaction(pool) as slow:  # one who has counted and does not commit
        await slow.execute("select add_use($1, $2, 1, 1, 0)", DOMAIN, "acme")

        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            for batch in batches:
                tasks.create_task(file(pool, batch))
            for account in accounts.values():
                tasks.create_task(append(pool, account, "INBOX"))
                tasks.create_task(recount(pool))
        await slow.execute("select add_use($1, $2, -1, -1, 0)", DOMAIN, "acme")

    assert (await check_counts(pool))[1] == 12 * 8 + 3 * 8


def filed(results: Sequence[object]) -> int:
    return sum(isinstance(result, Filed) for result in results)


async def test_one_transaction_passes_no_limit_however_many_accounts_it_files_for(
    pool: Pool,
) -> None:
    accounts = await limited_house(pool, "anna", "bert", "carl", limits=Limits(messages=4))

    results = await file(pool, await accepted(pool, *accounts.values(), *accounts.values()))
    again = await file(pool, await accepted(pool, *accounts.values()))

    assert filed(results) == 4
    assert again == [Refused.OVER_QUOTA] * 3


async def test_those_that_commit_at_once_pass_a_limit_by_no_more_than_they_bring(
    pool: Pool,
) -> None:
    accounts = await limited_house(pool, *(f"p{n}" for n in range(6)), limits=Limits(messages=10))
    batches = [await accepted(pool, *accounts.values()) for _ in range(20)]

    tasks = [asyncio.create_task(file(pool, batch)) for batch in batches]
    results = [one for task in tasks for one in await task]

    in_flight = 10  # the pool's connections at most
    assert 10 <= filed(results) <= 10 + in_flight * len(accounts)
    assert filed(await file(pool, await accepted(pool, *accounts.values()))) == 0
    await check_counts(pool)


async def test_what_was_there_before_the_limit_counts(pool: Pool) -> None:
    accounts = await add_accounts(pool, "anna")
    await file(pool, await accepted(pool, accounts["anna"]))
    assert await pool.fetchval("select count(*) from quota_use") == 0

    await set_limits(pool, Scope.DOMAIN, DOMAIN, Limits(messages=1))
    refused = await file(pool, await accepted(pool, accounts["anna"]))
    await set_limits(pool, Scope.DOMAIN, DOMAIN, Limits())

    assert refused == [Refused.OVER_QUOTA]
    assert await pool.fetchval("select count(*) from quota_use") == 0
