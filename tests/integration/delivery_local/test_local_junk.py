"""Mail that looks like spam lies in Junk, and is filed once like any other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from posthouse.storage import junk
from posthouse.storage.mailboxes import (
    create_mailbox,
    delete_mailbox,
    find_mailbox,
    list_mailboxes,
)
from posthouse.storage.pool import Pool
from support.delivery import station
from support.filings import add_accounts

pytestmark = pytest.mark.integration

SPAM = b"Subject: buy\r\n\r\nnow\r\n"


async def _counts(pool: Pool, account: int) -> dict[str, int]:
    return {box.name: box.exists for box in await list_mailboxes(pool, account) if box.exists}


async def test_it_goes_to_junk_whatever_folder_its_address_names(
    pool: Pool, tmp_path: Path
) -> None:
    anna = (await add_accounts(pool, "anna"))["anna"]
    await create_mailbox(pool, anna, "Rubbish", ("\\Junk",))
    await create_mailbox(pool, anna, "lists")
    async with station(pool, tmp_path) as post:
        spam, ham = await post.accept(SPAM, anna), await post.accept(SPAM, anna)
        to = replace(spam.recipients[0], folder="lists")
        junk = replace(spam, junk=True, recipients=(to,))

        await post.delivery.deliver([junk, ham, junk])

    assert await _counts(pool, anna) == {"INBOX": 1, "Rubbish": 1}


@pytest.mark.parametrize("has_one", [True, False])
async def test_junk_is_made_where_there_is_none(
    pool: Pool, tmp_path: Path, *, has_one: bool
) -> None:
    anna = (await add_accounts(pool, "anna"))["anna"]
    await delete_mailbox(pool, anna, "Junk")
    if has_one:
        await create_mailbox(pool, anna, "Junk")
    async with station(pool, tmp_path) as post:
        await post.delivery.deliver([replace(await post.accept(SPAM, anna), junk=True)])

    assert await _counts(pool, anna) == {"Junk": 1}
    assert (await find_mailbox(pool, anna, "Junk")).uses == ("\\Junk",)


async def test_two_deliveries_at_once_make_one_junk(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = (await add_accounts(pool, "anna"))["anna"]
    await delete_mailbox(pool, anna, "Junk")
    both_found_none = asyncio.Barrier(2)

    async def making(pool: Pool, account: int, name: str, uses: tuple[str, ...]) -> None:
        async with asyncio.timeout(30):
            await both_found_none.wait()
        await create_mailbox(pool, account, name, uses)

    monkeypatch.setattr(junk, "create_mailbox", making)

    found = await asyncio.gather(*(junk.junk_mailboxes(pool, [anna]) for _ in range(2)))

    assert found == [{anna: "Junk"}] * 2
    assert (await find_mailbox(pool, anna, "Junk")).uses == ("\\Junk",)
