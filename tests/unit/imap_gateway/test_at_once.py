"""What waits for nothing is done when it was begun; what waits goes on as a task would have."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from imap_gateway.wire.at_once import begin


async def begun(
    tasks: asyncio.TaskGroup, work: Coroutine[Any, Any, None]
) -> asyncio.Task[None] | None:
    """Begin it in a callback of the event loop, as octets come."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[asyncio.Task[None] | None] = loop.create_future()
    loop.call_soon(lambda: done.set_result(begin(tasks, work)))
    return await done


async def test_what_waits_for_nothing_is_done_without_a_task() -> None:
    steps: list[str] = []

    async def work() -> None:
        assert asyncio.current_task() is not None
        steps.append("done")

    async with asyncio.TaskGroup() as tasks:
        assert await begun(tasks, work()) is None
        assert steps == ["done"]


async def test_what_waits_goes_on_in_a_task() -> None:
    steps: list[str] = []
    gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        steps.append(await gate)
        await asyncio.sleep(0)
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        steps.append("done")

    async with asyncio.TaskGroup() as tasks:
        task = await begun(tasks, work())
        assert task is not None
        gate.set_result("opened")
        await task
    assert steps == ["opened", "done"]


async def test_who_gives_others_a_turn_first_goes_on() -> None:
    steps: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0)
        steps.append("done")

    async with asyncio.TaskGroup() as tasks:
        await begun(tasks, work())
    assert steps == ["done"]


async def test_a_deadline_set_before_the_first_wait_ends_it() -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            steps.append("late")
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
        steps.append("done")

    async with asyncio.TaskGroup() as tasks:
        await begun(tasks, work())
    assert steps == ["late", "done"]


async def test_a_group_begun_before_the_first_wait_fails_as_one() -> None:
    steps: list[str] = []

    async def fail() -> None:
        raise ValueError

    async def work() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await asyncio.Event().wait()
        except* ValueError:
            steps.append("failed")

    async with asyncio.TaskGroup() as tasks:
        await begun(tasks, work())
    assert steps == ["failed"]


async def test_cancelling_it_at_once_cancels_what_it_waits_for() -> None:
    waited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    steps: list[str] = []

    async def work() -> None:
        try:
            await waited
        finally:
            steps.append("ended")

    loop = asyncio.get_running_loop()
    ended: asyncio.Future[asyncio.Task[None]] = loop.create_future()
    async with asyncio.TaskGroup() as tasks:

        def go() -> None:
            task = begin(tasks, work())
            assert task is not None
            task.cancel()
            ended.set_result(task)

        loop.call_soon(go)
        task = await ended
        await asyncio.wait([task])
    assert task.cancelled()
    assert waited.cancelled()
    assert steps == ["ended"]


async def test_within_a_task_nothing_is_done_at_once() -> None:
    steps: list[str] = []

    async def work() -> None:
        steps.append("done")

    async with asyncio.TaskGroup() as tasks:
        assert begin(tasks, work()) is not None
        assert steps == []
    assert steps == ["done"]
