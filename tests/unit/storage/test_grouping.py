"""Group commit: who shares a commit, who is told of trouble, and that nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from posthouse.mail.errors import Unavailable
from posthouse.storage.ledger.grouping import GroupCommit


class Book:
    """Writes down what is committed; while `closed`, a commit waits."""

    def __init__(self) -> None:
        self.commits: list[list[int]] = []
        self.open = asyncio.Event()
        self.begun = asyncio.Event()

    async def write(self, things: Sequence[int]) -> Sequence[int]:
        self.begun.set()
        await self.open.wait()
        if -1 in things:
            raise ValueError("cannot be written")
        if 0 in things:
            raise Unavailable("away")
        self.commits.append(list(things))
        return [thing * 10 for thing in things]


async def test_those_who_come_during_a_commit_share_the_next_and_get_their_own_results() -> None:
    book = Book()
    async with GroupCommit(book.write, is_wanted_by_caller=True) as group:
        first = asyncio.create_task(group.submit(1))
        await book.begun.wait()
        others = [asyncio.create_task(group.submit(n)) for n in range(2, 6)]
        await asyncio.sleep(0)
        book.open.set()

        assert await asyncio.gather(first, *others) == [10, 20, 30, 40, 50]

    assert len(book.commits) < 5


async def test_one_that_cannot_be_written_does_not_spoil_the_others() -> None:
    book = Book()
    async with GroupCommit(book.write, is_wanted_by_caller=True) as group:
        first = asyncio.create_task(group.submit(1))
        await book.begun.wait()
        others = [asyncio.create_task(group.submit(n)) for n in (2, -1, 3)]
        await asyncio.sleep(0)
        book.open.set()
        ends = await asyncio.gather(first, *others, return_exceptions=True)

    assert ends[:2] == [10, 20]
    assert isinstance(ends[2], ValueError)
    assert ends[3] == 30


async def test_an_outage_is_told_to_everybody_of_the_commit() -> None:
    book = Book()
    book.open.set()
    async with GroupCommit(book.write, is_wanted_by_caller=True) as group:
        with pytest.raises(Unavailable):
            await group.submit(0)


@pytest.mark.parametrize("is_wanted_by_caller", [True, False])
async def test_what_its_caller_gave_up_is_written_only_if_it_must_be(
    *, is_wanted_by_caller: bool
) -> None:
    book = Book()
    async with GroupCommit(book.write, is_wanted_by_caller=is_wanted_by_caller) as group:
        running = [asyncio.create_task(group.submit(n)) for n in (1, 2)]
        await book.begun.wait()
        given_up = asyncio.create_task(group.submit(7))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        last = asyncio.create_task(group.submit(8))
        await asyncio.sleep(0)
        book.open.set()
        await asyncio.gather(*running, last)

    written = [n for commit in book.commits for n in commit]
    assert (7 in written) is not is_wanted_by_caller


@pytest.mark.parametrize("is_wanted_by_caller", [True, False])
async def test_who_is_alone_commits_without_a_writer(*, is_wanted_by_caller: bool) -> None:
    tasks: list[asyncio.Task[object] | None] = []

    async def write(things: Sequence[int]) -> Sequence[int]:
        tasks.append(asyncio.current_task())
        return things

    async with GroupCommit(write, is_wanted_by_caller=is_wanted_by_caller) as group:
        assert [await group.submit(n) for n in (1, 2)] == [1, 2]

    assert ({asyncio.current_task()} == set(tasks)) is is_wanted_by_caller


async def test_who_was_alone_and_gave_up_leaves_the_way_free() -> None:
    book = Book()
    async with GroupCommit(book.write, is_wanted_by_caller=True) as group:
        given_up = asyncio.create_task(group.submit(7))
        await book.begun.wait()
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        book.open.set()

        assert await group.submit(8) == 80

    assert book.commits == [[8]]


async def test_at_the_end_nobody_is_left_waiting() -> None:
    book = Book()
    async with GroupCommit(book.write, is_wanted_by_caller=False) as group:
        callers = [asyncio.create_task(group.submit(n)) for n in range(1, 300)]
        await book.begun.wait()

    async with asyncio.timeout(5):
        ends = await asyncio.gather(*callers, return_exceptions=True)
    assert {type(end) for end in ends} == {Unavailable}
