"""How a domain or an account sends: what is not said of one is left to the other."""

from __future__ import annotations

import asyncio

import pytest

from posthouse.storage.directory import (
    NoSuchEntry,
    add_account,
    add_domain,
    remove_account,
    remove_domain,
)
from posthouse.storage.directory.senders import (
    NamedSender,
    Sender,
    remove_sender,
    resolve_senders,
    senders,
    set_sender,
)
from posthouse.storage.pool import Pool, transaction

pytestmark = pytest.mark.integration

_WAITING = """
    select exists (select from pg_stat_activity
                    where datname = current_database() and wait_event_type = 'Lock')
"""


@pytest.fixture
async def house(pool: Pool) -> Pool:
    await add_domain(pool, "example.test")
    await add_domain(pool, "other.test")
    await add_account(pool, "anna@example.test", "x")
    return pool


async def test_what_an_account_says_goes_before_its_domain(house: Pool) -> None:
    await set_sender(house, "Example.test", Sender(language="de", return_path="verp"))
    await set_sender(house, "Anna@example.test", Sender(language="en", suppress_after=0))

    found = await resolve_senders(
        house,
        ["Anna+news@Example.test", "bert@example.test", "x@other.test", "x@far.test", "", "no@"],
    )

    anna = Sender(language="en", return_path="verp", suppress_after=0)
    assert found == {
        "Anna+news@Example.test": anna,
        "bert@example.test": Sender(language="de", return_path="verp"),
        "x@other.test": Sender(),
        "x@far.test": None,
        "": None,
        "no@": None,
    }


async def test_what_is_said_is_replaced_listed_and_taken_back(house: Pool) -> None:
    await set_sender(house, "example.test", Sender(language="de"))
    await set_sender(house, "example.test", Sender(signed_only=True))
    await set_sender(house, "anna@example.test", Sender(language="de"))

    named = await senders(house)
    assert named == (
        NamedSender(whose="anna@example.test", sender=Sender(language="de")),
        NamedSender(whose="example.test", sender=Sender(signed_only=True)),
    )
    assert await senders(house, after="anna@example.test", limit=1) == named[1:]

    await remove_sender(house, "anna@example.test")
    with pytest.raises(NoSuchEntry):
        await remove_sender(house, "anna@example.test")
    with pytest.raises(NoSuchEntry):
        await set_sender(house, "far.test", Sender())
    with pytest.raises(NoSuchEntry):
        await set_sender(house, "nobody@example.test", Sender())


@pytest.mark.parametrize("whose", ["example.test", "anna@example.test"])
@pytest.mark.parametrize("known", [None, Sender(language="en", suppress_after=3)])
async def test_two_who_change_different_things_at_once_both_have_their_way(
    house: Pool, whose: str, known: Sender | None
) -> None:
    if known is not None:
        await set_sender(house, whose, known)
    async with transaction(house) as tx:
        await set_sender(tx, whose, Sender(language="de"), only=["language"])
        other = asyncio.create_task(
            set_sender(house, whose, Sender(signed_only=True), only=["signed_only"])
        )
        async with asyncio.timeout(10):
            while not await house.fetchval(_WAITING):  # noqa: ASYNC110 - PostgreSQL tells nobody
                await asyncio.sleep(0.01)
    await other

    suppress_after = known.suppress_after if known else None
    (named,) = await senders(house)
    assert named.sender == Sender(language="de", signed_only=True, suppress_after=suppress_after)


async def test_it_goes_with_the_account_and_with_the_domain(house: Pool) -> None:
    await set_sender(house, "anna@example.test", Sender(language="de"))
    await set_sender(house, "other.test", Sender(language="de"))

    await remove_account(house, "anna@example.test")
    await remove_domain(house, "other.test")

    assert await senders(house) == ()
