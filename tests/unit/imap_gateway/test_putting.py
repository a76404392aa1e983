"""Small objects of one command go to the store together."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from imap_gateway.composing.putting import AT_ONCE, HELD_OCTETS, Puts
from posthouse.blobs import Blobs
from posthouse.mail.errors import Unavailable


class Store:
    """Ends what was begun when it is told to."""

    def __init__(self) -> None:
        self.begun: dict[str, asyncio.Future[None]] = {}

    def begin(self, key: str, _octets: bytes) -> asyncio.Future[None]:
        self.begun[key] = asyncio.get_running_loop().create_future()
        return self.begun[key]

    def end(self, *keys: str) -> None:
        for key in keys:
            self.begun[key].set_result(None)


def puts_into(store: Store) -> Puts:
    return Puts(cast("Blobs", store))


async def test_each_begins_at_once_and_all_are_durable_at_the_end() -> None:
    store = Store()
    puts = puts_into(store)
    for key in "abc":
        await puts.add(key, b"x")
        assert key in store.begun

    done = asyncio.create_task(puts.done())
    store.end("a", "b")
    await asyncio.sleep(0)
    assert not done.done()
    store.end("c")
    await done


async def test_one_that_is_not_stored_is_told() -> None:
    store = Store()
    puts = puts_into(store)
    for key in ("a", "bad", "c"):
        await puts.add(key, b"x")
    store.end("a", "c")
    store.begun["bad"].set_exception(Unavailable("object store is not available"))

    with pytest.raises(Unavailable):
        await puts.done()


async def test_no_more_is_under_way_than_may_be() -> None:
    store = Store()
    puts = puts_into(store)
    for key in ("a", "b"):
        await puts.add(key, bytes(HELD_OCTETS // 2))

    third = asyncio.create_task(puts.add("c", b"x"))
    await asyncio.sleep(0)
    assert "c" not in store.begun
    store.end("a", "b")
    await third
    assert "c" in store.begun


async def test_no_more_objects_are_under_way_than_may_be() -> None:
    store = Store()
    puts = puts_into(store)
    for number in range(AT_ONCE):
        await puts.add(str(number), b"x")

    one_more = asyncio.create_task(puts.add("more", b"x"))
    await asyncio.sleep(0)
    assert "more" not in store.begun
    store.end(*map(str, range(AT_ONCE)))
    await one_more
    assert "more" in store.begun
