"""What clients can make a gateway hold in memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from posthouse.mail.ids import object_key
from posthouse.storage.pool import Pool
from support.imap import add_reader, gateway

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
