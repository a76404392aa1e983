"""Who waits goes on when it opens, and takes nobody along when it is cancelled."""

from __future__ import annotations

import asyncio

from imap_gateway.wire.latch import Latch


async def test_all_who_wait_go_on() -> None:
    latch = Latch(is_open=False)
    waiting = [asyncio.create_task(latch.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting[1:])

    latch.open()
    latch.close()

    await asyncio.gather(*waiting[1:])
    assert waiting[0].cancelled()


async def test_who_comes_while_it_is_open_goes_on_at_once() -> None:
    latch = Latch(is_open=True)
    await latch.wait()
    latch.close()
    latch.open()
    await latch.wait()
