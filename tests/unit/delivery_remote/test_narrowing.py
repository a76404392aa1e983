"""Where 8-bit mail is converted: large messages on disk, a few at once."""

from __future__ import annotations

import asyncio

from delivery_remote.session.narrowing import IN_MEMORY_OCTETS, ON_DISK_AT_ONCE, Workshop
from support.outside import mail

HEAD = b"Subject: x\r\n\r\n"
SMALL = mail(octets=HEAD + b"\xff\r\n")
LARGE = mail(octets=HEAD + b"\xc3\xbc to all who read this, and the others\r\n" * 20_000)


async def test_large_messages_wait_for_a_place_and_small_ones_do_not() -> None:
    workshop, full, leave = Workshop(), asyncio.Event(), asyncio.Event()
    done: list[int] = []

    async def hold() -> None:
        async with workshop.narrowed(LARGE) as narrow:
            done.append(narrow.size)
            if len(done) == ON_DISK_AT_ONCE:
                full.set()
            await leave.wait()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(ON_DISK_AT_ONCE + 1):
            tasks.create_task(hold())
        await full.wait()
        async with workshop.narrowed(SMALL) as narrow:
            assert narrow.size < IN_MEMORY_OCTETS
        assert len(done) == ON_DISK_AT_ONCE
        leave.set()

    assert len(done) == ON_DISK_AT_ONCE + 1


async def test_what_is_sent_is_as_large_as_was_said_however_often_it_is_read() -> None:
    async with Workshop().narrowed(LARGE) as narrow:
        twice = [b"".join([piece async for piece in narrow.pieces()]) for _ in range(2)]

    assert narrow.body == "7BIT"
    assert twice[0] == twice[1]
    assert len(twice[0]) == narrow.size > IN_MEMORY_OCTETS
    assert twice[0].isascii()
