"""Who has much to fold keeps nobody else waiting."""

from __future__ import annotations

import asyncio

import pytest

from imap_gateway.memory import folding
from imap_gateway.memory.folding import Folding


async def test_an_account_has_one_turn_at_a_time_and_others_theirs() -> None:
    turns, end, order = Folding(at_once=2), asyncio.Event(), list[str]()

    async def fold(account: int, name: str) -> None:
        async with turns.turn(account):
            order.append(name)
            if account == 1:
                await end.wait()

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(fold(1, f"much {number}"))
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await fold(2, "little")
        assert order == ["much 0", "little"]
        end.set()
    assert sorted(order) == ["little", *(f"much {number}" for number in range(5))]
    assert not turns._accounts


async def test_what_nobody_waits_for_steps_aside_for_searches_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns, order = Folding(), list[str]()

    async def fold() -> None:
        await turns.step_aside()
        order.append("folded")

    async with asyncio.TaskGroup() as tasks:
        with turns.search():
            tasks.create_task(fold())
            with turns.search():
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            order.append("answered")
    assert order == ["answered", "folded"]

    monkeypatch.setattr(folding, "ASIDE_SECONDS", 0.0)
    with turns.search():
        await fold()
