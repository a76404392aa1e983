"""Who has much to fold keeps nobody else waiting."""

from __future__ import annotations

import asyncio

from imap_gateway.memory.folding import Folding


async def test_an_account_has_one_turn_at_a_time_and_others_theirs() -> None:
    folding, end, order = Folding(at_once=2), asyncio.Event(), list[str]()

    async def fold(account: int, name: str) -> None:
        async with folding.turn(account):
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
    assert not folding._accounts
