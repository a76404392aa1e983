"""How a domain or an account sends: what is not said of one is left to the other."""

from __future__ import annotations

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
    sender_named,
    senders,
    set_sender,
)
from posthouse.storage.pool import Pool

pytestmark = pytest.mark.integration


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
    assert await sender_named(house, "EXAMPLE.test") == Sender(signed_only=True)
    assert await sender_named(house, "other.test") is None

    await remove_sender(house, "anna@example.test")
    with pytest.raises(NoSuchEntry):
        await remove_sender(house, "anna@example.test")
    with pytest.raises(NoSuchEntry):
        await set_sender(house, "far.test", Sender())
    with pytest.raises(NoSuchEntry):
        await set_sender(house, "nobody@example.test", Sender())


async def test_it_goes_with_the_account_and_with_the_domain(house: Pool) -> None:
    await set_sender(house, "anna@example.test", Sender(language="de"))
    await set_sender(house, "other.test", Sender(language="de"))

    await remove_account(house, "anna@example.test")
    await remove_domain(house, "other.test")

    assert await senders(house) == ()
