"""What policy remembers for seconds: renewed beside the questions, and never older than promised."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from policy_engine.enquiries import REMEMBER, RENEW_AFTER, Memory
from policy_engine.greylisting.greylist import MAX_WAITING, Greylist
from posthouse.mail.errors import Unavailable
from posthouse.storage.greylisting import GreylistTerms, Triplet
from posthouse.storage.pool import open_pool

SOON = 30.0
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


@dataclass
class Directory:
    """Counts its answers; it may be away."""

    now: float = 1000.0
    answers: int = 0
    is_away: bool = False
    asked: list[list[str]] = field(default_factory=list)
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def resolve(self, keys: Sequence[str]) -> dict[str, int]:
        self.asked.append(list(keys))
        self.was_asked.set()
        if self.is_away:
            raise Unavailable("away")
        self.answers += 1
        return dict.fromkeys(keys, self.answers)

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(SOON):
            while len(self.asked) < times:
                await self.was_asked.wait()
                self.was_asked.clear()


@pytest.fixture
def directory() -> Directory:
    return Directory()


@pytest.fixture
async def memory(directory: Directory) -> AsyncIterator[Memory[int]]:
    made = Memory(directory.resolve, lambda: directory.now)
    async with asyncio.TaskGroup() as group:
        working = group.create_task(made.work())
        await asyncio.sleep(0)
        yield made
        working.cancel()


async def test_what_is_used_is_renewed_before_it_is_too_old(
    directory: Directory, memory: Memory[int]
) -> None:
    assert await memory.resolve(["a", "b"]) == {"a": 1, "b": 1}
    directory.now += RENEW_AFTER.total_seconds()
    assert await memory.resolve(["a", "b"]) == {"a": 1, "b": 1}, "at once, as it was"
    await directory.until_asked(2)
    assert directory.asked == [["a", "b"], ["a", "b"]]

    directory.now += REMEMBER.total_seconds() - RENEW_AFTER.total_seconds()
    assert await memory.resolve(["a"]) == {"a": 2}
    assert len(directory.asked) == 2, "it is fresh"


async def test_what_could_not_be_renewed_is_asked_for_when_it_is_too_old(
    directory: Directory, memory: Memory[int]
) -> None:
    await memory.resolve(["a"])
    directory.is_away = True
    directory.now += RENEW_AFTER.total_seconds()
    assert await memory.resolve(["a"]) == {"a": 1}
    await directory.until_asked(2)

    directory.now += REMEMBER.total_seconds()
    with pytest.raises(Unavailable):
        await memory.resolve(["a"])
    directory.is_away = False
    assert await memory.resolve(["a"]) == {"a": 2}


async def test_nobody_renews_what_nobody_uses(directory: Directory, memory: Memory[int]) -> None:
    await memory.resolve(["a", "b"])
    directory.now += RENEW_AFTER.total_seconds()
    await memory.resolve(["b"])
    await directory.until_asked(2)
    assert directory.asked[1:] == [["b"]]


def who(name: str) -> Triplet:
    return Triplet(network="203.0.113.0/24", sender=f"{name}@far.test", recipient="a@example.test")


async def test_while_postgresql_is_away_nobody_passes_and_nobody_is_remembered() -> None:
    async with open_pool(NOWHERE) as pool, asyncio.TaskGroup() as group:
        greylist = Greylist(pool, GreylistTerms())
        working = group.create_task(greylist.work())
        for _ in range(2):
            asking = [greylist.waits(who(name)) for name in ("eve", "eve", "bob")]
            said = await asyncio.gather(*asking, return_exceptions=True)
            assert [type(each) for each in said] == 3 * [Unavailable]
        assert greylist.recall(who("eve")) is None
        working.cancel()


async def test_those_who_wait_for_an_answer_are_not_too_many() -> None:
    async with open_pool(NOWHERE) as pool:
        greylist = Greylist(pool, GreylistTerms())  # nobody works
        waiting = [asyncio.ensure_future(greylist.waits(who(f"x{n}"))) for n in range(MAX_WAITING)]
        await asyncio.sleep(0)

        with pytest.raises(Unavailable, match="too many"):
            await greylist.waits(who("one more"))
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
