"""What clients can make a gateway hold in memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from imap_gateway.memory.budget import Budget
from posthouse.mail.ids import object_key
from posthouse.storage.pool import Pool
from support.imap import LIMITS, add_reader, gateway

pytestmark = pytest.mark.integration

MIB = 1024 * 1024
LARGE = b"Subject: large\r\n\r\n" + b"".join(b"line %060d\r\n" % n for n in range(8 * MIB // 67))


async def test_a_large_message_is_never_held_whole_for_clients_that_do_not_read(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house:
        await house.deliver(account, LARGE)
        users = [await house.connect() for _ in range(8)]
        for user in users:
            await user.login()
            await user.say("SELECT INBOX")
        tracemalloc.start()

        for user in users:
            await user.send(b"f FETCH 1 (UID BODY.PEEK[] FLAGS)\r\n")
        heads = [await user.reader.readline() for user in users]
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

        assert heads == [b"* 1 FETCH (UID 1 BODY[] {%d}\r\n" % len(LARGE)] * 8
        assert held < 8 * 2 * MIB
        for user in users:
            assert await user.reader.readexactly(len(LARGE)) == LARGE
            assert (await user.hear()).startswith(b" FLAGS (")
            assert await user.hear() == b"f OK FETCH done"
        [part, _] = await users[0].say(f"FETCH 1 (BODY.PEEK[TEXT]<10.{MIB}> RFC822.SIZE)")
        assert part.endswith(b" RFC822.SIZE %d)" % len(LARGE))
        assert LARGE[28 : 28 + MIB] in part


async def test_a_large_message_that_goes_missing_on_the_way_ends_the_connection(
    pool: Pool, tmp_path: Path
) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as house:
        [ident] = await house.deliver(account, LARGE)
        user = await house.connect()
        await user.login()
        await user.say("SELECT INBOX")

        await user.send(b"f FETCH 1 BODY.PEEK[]\r\n")
        await user.reader.readline()
        await house.house.blobs.delete([object_key(ident)])

        got = await user.reader.read()
        while more := await user.reader.read():
            got += more
        assert len(got) < len(LARGE)
        assert LARGE.startswith(got)
        user = await house.connect()
        await user.login()
        await user.say("SELECT INBOX")
        answer = (await user.say("FETCH 1 BODY.PEEK[]"))[-1]
        assert answer.startswith(b"NO [SERVERBUG]")


async def test_who_trickles_large_messages_keeps_only_itself_waiting(
    pool: Pool, tmp_path: Path
) -> None:
    await add_reader(pool)
    await add_reader(pool, "bert")
    limits = replace(LIMITS, message_octets=10 * MIB)
    async with gateway(pool, tmp_path, limits=limits) as house:
        budget = Budget(8 * len(LARGE))  # of which an account may have two messages
        house.listener.house = replace(house.house, budget=budget)
        head = f"APPEND INBOX {{{len(LARGE)}+}}\r\n".encode()
        tricklers = [await house.connect() for _ in range(20)]
        for user in tricklers:
            await user.login()
            await user.send(b"t " + head + LARGE[:1000])
        other = await house.connect()
        await other.login("bert")
        assert (await other.append("INBOX", LARGE)).startswith(b"OK [APPENDUID ")
        assert budget.held == 2 * len(LARGE)

        for user in tricklers:
            await user.send(LARGE[1000:] + b"\r\n")
            assert (await user.hear()).startswith(b"t OK [APPENDUID ")
        assert budget.held == 0


@pytest.mark.parametrize("plus", ["", "+"])
async def test_appended_messages_wait_for_each_other_and_a_stalled_one_is_ended(
    pool: Pool, tmp_path: Path, plus: str
) -> None:
    await add_reader(pool)
    limits = replace(LIMITS, message_octets=10 * MIB, literal_silence=timedelta(seconds=1.5))
    async with gateway(pool, tmp_path, limits=limits) as house:
        house.listener.house = replace(house.house, budget=Budget(10 * MIB))
        stalled, waiting, small = [await house.connect() for _ in range(3)]
        for user in (stalled, waiting, small):
            await user.login()
        head = f"APPEND INBOX {{{len(LARGE)}{plus}}}\r\n".encode()

        await stalled.send(b"s " + head + LARGE[:MIB] * bool(plus))
        if not plus:
            assert await stalled.hear() == b"+ go ahead"
        await small.append("INBOX", LARGE[:1000])
        await waiting.send(b"w " + head)
        assert (await small.append("INBOX", LARGE[:1000])).startswith(b"OK")

        assert await stalled.hear() == b"* BYE Silent for too long"
        if not plus:
            assert await waiting.hear() == b"+ go ahead"
        await waiting.send(LARGE + b"\r\n")
        assert (await waiting.hear()).startswith(b"w OK [APPENDUID ")
        assert (await waiting.append("INBOX", LARGE)).startswith(b"OK")
        assert house.listener.house.budget.held == 0
