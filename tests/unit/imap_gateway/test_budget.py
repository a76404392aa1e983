"""Shares of memory come in the order in which they were asked for."""

from __future__ import annotations

import asyncio

from imap_gateway.memory.budget import Budget
from imap_gateway.memory.guests import Guest


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


async def test_who_has_had_its_part_waits_and_keeps_nobody_else_waiting() -> None:
    budget, order = Budget(100), list[str]()
    anna, bert = budget.bounds(Guest(1, "here")), budget.bounds(Guest(2, "there"))

    async def come(name: str, octets: int) -> None:
        await budget.take(octets, anna if name.startswith("anna") else bert)
        order.append(name)

    async with asyncio.TaskGroup() as tasks:
        for name in ("anna 1", "anna 2", "anna 3", "bert 1"):
            tasks.create_task(come(name, 20))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert order == ["anna 1", "bert 1"]
        assert budget.held == 40
        assert not budget.grow(6, anna)
        assert budget.grow(5, anna)
        budget.give_back(25, anna)
        await asyncio.sleep(0)
        assert order == ["anna 1", "bert 1", "anna 2"]
        budget.give_back(20, anna)
    assert order[3] == "anna 3"


async def test_accounts_of_one_network_have_half_together() -> None:
    budget = Budget(100)
    for account in range(1, 3):
        await budget.take(25, budget.bounds(Guest(account, "office")))
    late = asyncio.create_task(budget.take(1, budget.bounds(Guest(3, "office"))))
    await budget.take(25, budget.bounds(Guest(4, "elsewhere")))
    await budget.take(25, budget.bounds(Guest(5, "")))  # a webmail server
    assert not late.done()
    budget.give_back(25, budget.bounds(Guest(1, "office")))
    await late


async def test_a_message_that_is_larger_than_a_part_comes_alone() -> None:
    budget, anna = Budget(100), Guest(1, "")
    await budget.take(60, budget.bounds(anna))
    second = asyncio.create_task(budget.take(1, budget.bounds(anna)))
    await asyncio.sleep(0)
    assert not second.done()
    budget.give_back(60, budget.bounds(anna))
    await second
    assert budget.held == 1
