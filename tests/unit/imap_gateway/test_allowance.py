"""Time is used up while anybody is at work, and once however many are."""

from __future__ import annotations

import asyncio

import pytest

from imap_gateway.memory.allowance import Allowance


async def test_many_at_once_use_it_once_and_pauses_cost_nothing() -> None:
    allowance, now = Allowance(60.0), asyncio.get_running_loop().time
    passed = 0.0

    async def work() -> None:
        async with allowance.spend():
            await asyncio.sleep(0.02)

    for _ in range(2):
        before = now()
        await asyncio.gather(*(work() for _ in range(20)))
        passed += now() - before
        await asyncio.sleep(0.02)  # nobody works
    assert 60.0 - passed - 0.001 <= allowance._left < 60.0 - 0.039
    assert allowance.is_left


async def test_what_takes_longer_is_broken_off() -> None:
    allowance = Allowance(0.05)

    async def work() -> None:
        async with allowance.spend():
            await asyncio.sleep(60)

    assert allowance.is_left
    with pytest.raises(TimeoutError):
        await work()
    assert not allowance.is_left
