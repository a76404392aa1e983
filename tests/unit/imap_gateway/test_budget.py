"""Shares of memory come in the order in which they were asked for."""

from __future__ import annotations

import asyncio

from imap_gateway.memory.budget import Budget


async def test_a_late_comer_waits_and_nobody_overtakes() -> None:
    budget, order = Budget(100), list[str]()

    async def come(name: str, octets: int) -> None:
        await budget.take(octets)
        order.append(name)

    await come("first", 80)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(come("large", 90))
        tasks.create_task(come("small", 10))
        await asyncio.sleep(0)
        assert order == ["first"]
        budget.give_back(80)

    assert order == ["first", "large", "small"]
    assert budget.held == 100


async def test_who_stops_waiting_leaves_the_line() -> None:
    budget = Budget(100)
    await budget.take(60)
    waiting = asyncio.create_task(budget.take(60))
    behind = asyncio.create_task(budget.take(40))
    await asyncio.sleep(0)

    waiting.cancel()
    await behind

    assert budget.held == 100


async def test_more_than_there_is_comes_when_nobody_holds_any() -> None:
    budget = Budget(100)

    await budget.take(500)

    assert budget.held == 500
