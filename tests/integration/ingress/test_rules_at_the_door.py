"""Rules that are made live while mail comes in: a running policy process follows, the sender sees it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from posthouse.rules.defaults import default_rules
from posthouse.rules.reading import read_rules
from posthouse.storage import rules
from posthouse.storage.pool import Pool, transaction
from posthouse.storage.trace import find
from support.dialogue import play
from support.place import Place

pytestmark = pytest.mark.integration

TO_DATA = (
    "S: 220 …\nC: EHLO mx.far.test\nS* 250 …\nC: MAIL FROM:<eve@far.test>\nS: 250 …\n"
    "C: RCPT TO:<anna@example.test>\nS: 250 …\nC: DATA\nS: 354 …"
)
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
LETTER = b"From: eve@far.test\r\nSubject: hello\r\n\r\n" + GTUBE + b"\r\n"
SECONDS = 60.0  # pods look every two seconds, ingress asks again after five
REFUSED = "550 5.7.1 Message refused: it looks like spam\r\n"


async def _sent(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await play(TO_DATA, reader, writer)
        writer.write(LETTER + b".\r\n")
        await writer.drain()
        return (await reader.readline()).decode()
    finally:
        writer.close()


async def test_the_test_string_is_refused_within_seconds_after_the_rules_are_live(
    place: Place, pool: Pool
) -> None:
    here = replace(place, env=place.env | {"POSTHOUSE_AUTHENTICATION": "off"})
    async with here.running("policy_engine"), here.running("ingress_smtp"):
        before = await _sent(here.port)
        async with transaction(pool) as tx:
            await rules.put_set(tx, "default", read_rules(default_rules()).rules, "test")
            await rules.set_state(tx, "default", "live", "test")
        taken = 1
        async with asyncio.timeout(SECONDS):
            while (reply := await _sent(here.port)) != REFUSED:
                assert reply.startswith("250 ")
                taken += 1
                await asyncio.sleep(0.1)  # between two looks

    assert before.startswith("250 ")
    assert len(await find(pool, limit=2 * taken)) == taken
