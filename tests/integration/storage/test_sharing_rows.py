"""Who sees whose mailboxes: what other tenants share is never read, however much it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from posthouse.storage import directory
from posthouse.storage.directory.tenants import add_tenant, assign_domain, free_domain
from posthouse.storage.mailboxes import create_mailbox, delete_mailbox
from posthouse.storage.pool import Pool, Row
from posthouse.storage.sharing import _SHARED_WITH, change_acl, find_owner, identify, shared_with
from support.filings import add_accounts

pytestmark = pytest.mark.integration

ANNA = "anna@example.test"
OTHERS = 2000

_PEOPLE = """
    insert into accounts (address, domain, password_hash)
    select 'p' || n || '@' || $1, $1, 'x' from generate_series(1, $2::int) n
"""
_INBOXES = """
    insert into mailboxes (account_id, name, acl)
    select account_id, 'INBOX', '{"anyone": "lr"}' from accounts where domain = $1
"""
_CLAIMED = "select tenant, account_id, mailbox_id from shown_to_anyone order by 1, 2, 3"
_TRUE = """
    select coalesce(d.tenant, '') as tenant, m.account_id, m.mailbox_id
      from mailboxes m join accounts a using (account_id) join domains d using (domain)
     where m.acl ->> 'anyone' like '%l%' order by 1, 2, 3
"""


async def rows_of(pool: Pool, sql: str) -> list[tuple[object, ...]]:
    found: list[Row] = await pool.fetch(sql)
    return [tuple(row) for row in found]


async def test_what_another_tenant_shows_to_anyone_is_not_read(pool: Pool) -> None:
    accounts = await add_accounts(pool, "anna", "bert")
    await add_tenant(pool, "far")
    await directory.add_domain(pool, "far.test")
    await assign_domain(pool, "far.test", "far")
    await pool.execute(_PEOPLE, "far.test", OTHERS)
    await pool.execute(_INBOXES, "far.test")
    bert = await find_owner(pool, "bert@example.test")
    assert bert is not None
    box = await create_mailbox(pool, bert.account, "Open", acl={"anyone": "lr"})

    anna = await identify(pool, ANNA)
    found = await shared_with(pool, accounts["anna"], anna)
    [row] = await pool.fetch(
        f"explain (analyze, buffers, format json) {_SHARED_WITH}",
        accounts["anna"], sorted(anna.names), "", 10_000,
    )  # fmt: skip

    assert [(owner.address, each.id) for owner, each in found] == [(bert.address, box.id)]
    plan: dict[str, Any] = json.loads(row[0])[0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < OTHERS / 20
    far = await directory.account_by_address(pool, "p1@far.test")
    assert far is not None
    seen = await shared_with(pool, far.id, await identify(pool, "p1@far.test"))
    assert len(seen) == OTHERS - 1


async def test_every_way_by_which_a_mailbox_is_shown_to_anyone_or_no_more(pool: Pool) -> None:
    accounts = await add_accounts(pool, "anna", "bert")
    anna = accounts["anna"]

    async def set_acl(mailbox: int, **acl: str) -> None:
        await change_acl(pool, anna, mailbox, lambda _: acl)
        assert await rows_of(pool, _CLAIMED) == await rows_of(pool, _TRUE)

    made = await create_mailbox(pool, anna, "Made", acl={"anyone": "lr"})
    other = await create_mailbox(pool, anna, "Other")
    assert await rows_of(pool, _CLAIMED) == [("", anna, made.id)]
    await set_acl(other.id, anyone="p")
    await set_acl(other.id, anyone="lrs", **{"bert@example.test": "lr"})
    await set_acl(made.id, anyone="r")
    await set_acl(made.id, anyone="rl")
    assert len(await rows_of(pool, _CLAIMED)) == 2

    await add_tenant(pool, "acme")
    await assign_domain(pool, "example.test", "acme")
    assert await rows_of(pool, _CLAIMED) == await rows_of(pool, _TRUE)
    await free_domain(pool, "example.test", "acme")
    await delete_mailbox(pool, anna, "Made")
    assert await rows_of(pool, _CLAIMED) == [("", anna, other.id)]
    await directory.remove_account(pool, ANNA)
    assert await rows_of(pool, _CLAIMED) == []
