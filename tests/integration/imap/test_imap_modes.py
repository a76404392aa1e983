"""COMPRESS and UNAUTHENTICATE: what is around the commands (RFC 4978, RFC 8437)."""

from __future__ import annotations

import asyncio
import os
import re
import zlib
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from posthouse.storage.pool import Pool, transaction
from support.imap import LETTER, LIMITS, PASSWORD, Gateway, User, add_reader, gateway

pytestmark = pytest.mark.integration

MIB = 1024 * 1024
LARGE = b"Subject: large\r\n\r\n" + b"".join(b"line %060d\r\n" % n for n in range(2 * MIB // 67))


class Compressed:
    """A user's conversation once COMPRESS is on; also the streams of the user after it."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._deflater = zlib.compressobj(wbits=-15)
        self._inflater = zlib.decompressobj(-15)
        self._heard = b""
        self.packed = 0

    async def send(self, octets: bytes, mode: int = zlib.Z_SYNC_FLUSH) -> None:
        packed = self._deflater.compress(octets) + self._deflater.flush(mode)
        await self._user.send(packed)

    async def hear(self, end: bytes) -> bytes:
        """Return all that was said up to a line that begins with ``end``."""
        async with asyncio.timeout(30):
            while not re.search(b"(^|\n)" + re.escape(end) + b"[^\n]*\n", self._heard):
                packed = await self._user.reader.read(65_536)
                assert packed, self._heard[-200:]
                self.packed += len(packed)
                self._heard += self._inflater.decompress(packed)
        said, self._heard = self._heard, b""
        return said

    async def end(self) -> bytes:
        """Return what comes behind the end of what is compressed."""
        async with asyncio.timeout(30):
            while not self._inflater.eof:
                self._heard += self._inflater.decompress(await self._user.reader.read(65_536))
        return self._inflater.unused_data


async def compressed(house: Gateway, *, tls: bool = False) -> Compressed:
    user = await house.connect(tls=tls)
    await user.login()
    assert await user.say("COMPRESS DEFLATE") == [b"OK DEFLATE active"]
    return Compressed(user)


@pytest.mark.parametrize("tls", [False, True])
async def test_a_session_goes_on_compressed_with_idle_and_large_messages(
    pool: Pool, tmp_path: Path, *, tls: bool
) -> None:
    account = await add_reader(pool)
    limits = replace(LIMITS, message_octets=4 * MIB)
    async with gateway(pool, tmp_path, limits=limits) as house:
        talk = await compressed(house, tls=tls)
        await talk.send(b"a SELECT INBOX\r\n")
        assert b"* 0 EXISTS" in await talk.hear(b"a OK")

        await talk.send(b"b APPEND INBOX {%d}\r\n" % len(LARGE))
        await talk.hear(b"+ go ahead")
        await talk.send(LARGE + b"\r\n")
        assert b"* 1 EXISTS" in await talk.hear(b"b OK [APPENDUID")

        before = talk.packed
        await talk.send(b"c FETCH 1 BODY.PEEK[]\r\n")
        assert LARGE in await talk.hear(b"c OK")
        assert talk.packed - before < len(LARGE) / 3

        await talk.send(b"d IDLE\r\n")
        await talk.hear(b"+ idling")
        await house.deliver(account, LETTER)
        assert await talk.hear(b"* 2 EXISTS")
        await talk.send(b"DONE\r\ne COMPRESS DEFLATE\r\nf COMPRESS LZ4\r\n")
        said = await talk.hear(b"f BAD")
        assert b"d OK" in said
        assert b"e BAD Compression is active" in said


async def test_a_literal_that_cannot_be_compressed_comes_in_whatever_its_pieces(
    pool: Pool, tmp_path: Path
) -> None:
    await add_reader(pool)
    limits = replace(LIMITS, message_octets=MIB)
    letter = b"Subject: odd\r\n\r\n" + b64encode(os.urandom(90_000))
    async with gateway(pool, tmp_path, limits=limits) as house:
        talk = await compressed(house)
        head = b"a APPEND INBOX {%d+}\r\n" % len(letter)
        for start in range(80_000, len(letter), 5_000):
            await talk.send(head + letter[:start])
            await asyncio.sleep(0.01)  # so that it comes in two pieces
            await talk.send(letter[start:] + b"\r\n")
            assert await talk.hear(b"a OK [APPENDUID")


async def test_a_bomb_does_not_get_into_memory_and_rubbish_ends_the_session(
    pool: Pool, tmp_path: Path
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as house:
        talk = await compressed(house)
        await talk.send(b"a" * 64 * MIB)  # 64 KiB on the wire, one line
        assert b"Command line too long" in await talk.hear(b"* BYE")

        user = await house.connect()
        await user.login()
        await user.say("COMPRESS DEFLATE")
        await user.send(b"\xff\xff\xff no deflate\r\n")
        packed = await user.reader.read()
        assert b"* BYE Bad compression" in zlib.decompressobj(-15).decompress(packed)


@pytest.mark.parametrize("mode", [zlib.Z_SYNC_FLUSH, zlib.Z_FINISH])
async def test_compression_ends_when_nobody_is_logged_in_any_more(
    pool: Pool, tmp_path: Path, mode: int
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as house:
        user = await house.connect()
        await user.login()
        await user.say("COMPRESS DEFLATE")
        talk = Compressed(user)
        await talk.send(b"u UNAUTHENTICATE\r\n", mode)
        assert await talk.end() == b""

        [answer] = await user.say(f'LOGIN anna@example.test "{PASSWORD}"')
        assert answer.startswith(b"OK")
        assert (await user.say("COMPRESS DEFLATE"))[-1].startswith(b"OK")
        again = Compressed(user)
        await again.send(b"n NOOP\r\n")
        assert await again.hear(b"n OK")


async def test_who_waits_long_is_told_that_we_are_still_at_work(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    limits = replace(LIMITS, progress=timedelta(milliseconds=50))
    async with gateway(pool, tmp_path, limits=limits) as house:
        await house.deliver(account, LETTER)
        user = await house.connect()
        await user.login()
        await user.say("SELECT INBOX")
        async with transaction(pool) as tx:
            await tx.execute("select from mailboxes where account_id = $1 for update", account)
            await user.send(b"c UID COPY 1 INBOX\r\n")
            for _ in range(2):
                said = await user.hear()
                assert said == b'* OK [INPROGRESS ("c" NIL NIL)] Still at work'
        while (said := await user.hear()).startswith(b"* "):
            pass
        assert said.startswith(b"c OK [COPYUID ")

        async with transaction(pool) as tx:
            await tx.execute("select from mailboxes where account_id = $1 for update", account)
            await user.send(b"d REPLACE 1 INBOX {15+}\r\nSubject: a\r\n\r\nb\r\n")
            assert await user.hear() == b'* OK [INPROGRESS ("d" 0 1)] Still at work'
        while not (said := await user.hear()).startswith(b"d "):
            pass
        assert said.startswith(b"d OK")


async def test_who_logs_out_after_a_while_has_as_long_to_log_in_as_at_first(
    pool: Pool, tmp_path: Path
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as house:
        clock = asyncio.get_running_loop().time
        user = await house.connect()
        await user.login()
        house.listener.now = lambda: clock() + 120
        assert (await user.say("UNAUTHENTICATE"))[-1].startswith(b"OK")
        house.listener.now = clock
        silent = await house.connect()
        await silent.hear()
        house.listener.now = lambda: clock() + 120
        assert (await silent.hear()).startswith(b"* BYE")  # after all were looked at
        assert (await user.say(f'LOGIN anna@example.test "{PASSWORD}"'))[-1].startswith(b"OK")
