"""Small objects of one command go to the store together."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from imap_gateway.composing.putting import AT_ONCE, HELD_OCTETS, Puts
from posthouse.blobs import Blobs
from posthouse.mail.errors import Unavailable


class Store:
    """Stores nothing before it is open; refuses ``bad``."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.has_three = asyncio.Event()
        self.begun: list[str] = []
        self.ended: list[str] = []

    async def put(self, key: str, _octets: bytes) -> None:
        self.begun.append(key)
        if len(self.begun) == 3:
            self.has_three.set()
        await self.open.wait()
        if key == "bad":
            raise Unavailable("object store is not available")
        self.ended.append(key)


def puts_into(store: Store) -> Puts:
    return Puts(cast("Blobs", store))


async def test_all_are_under_way_at_once_and_durable_at_the_end() -> None:
    store = Store()
    puts = puts_into(store)
    for key in "abc":
        await puts.add(key, b"x")
    assert not store.begun

    done = asyncio.create_task(puts.done())
    await store.has_three.wait()
    assert not done.done()
    store.open.set()
    await done

    assert store.ended == ["a", "b", "c"]


async def test_one_that_is_not_stored_is_told_when_no_other_is_under_way() -> None:
    store = Store()
    store.open.set()
    puts = puts_into(store)
    for key in ("a", "bad", "c"):
        await puts.add(key, b"x")

    with pytest.raises(Unavailable):
        await puts.done()

    assert store.ended == ["a", "c"]


async def test_no_more_is_held_than_may_be() -> None:
    store = Store()
    store.open.set()
    puts = puts_into(store)
    for key in ("a", "b", "c"):
        await puts.add(key, bytes(HELD_OCTETS // 2))

    assert store.ended == ["a", "b", "c"]
    for number in range(AT_ONCE):
        await puts.add(str(number), b"x")
    assert len(store.ended) == 3 + AT_ONCE
