"""Greylisting as a client sees it: ingress, and one policy process after the other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from posthouse.storage.access import Entry, put_entry
from posthouse.storage.pool import Pool
from posthouse.storage.trace import find
from support.dialogue import play
from support.place import Place

pytestmark = pytest.mark.integration

HELLO = "S: 220 …\nC: EHLO mx.far.test\nS* 250 …\nC: MAIL FROM:<eve@far.test>\nS: 250 …\n"
WAITS = (
    HELLO + "C: RCPT TO:<anna@example.test>\n"
    "S: 451 4.7.1 You are not known here yet, come again in 5 minutes\n"
    "C: RCPT TO:<nobody@example.test>\nS: 550 5.1.1 …\nC: QUIT\nS: 221 …\n"
)
PASSES = (
    HELLO + "C: RCPT TO:<anna@example.test>\nS: 250 …\nC: DATA\nS: 354 …\n"
    "C: From: <eve@far.test>\nC: \nC: hi\nC: .\nS: 250 …\nC: QUIT\nS: 221 …\n"
)
DENIED = (
    HELLO.replace("eve@far", "eve@spam")
    + "C: RCPT TO:<anna@example.test>\nS: 550 5.7.1 Mail from you is not taken here\n"
    "C: QUIT\nS: 221 …\n"
)


async def talk(port: int, script: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await play(script, reader, writer)
    finally:
        writer.close()


async def test_a_client_comes_again_and_meets_another_policy(place: Place, pool: Pool) -> None:
    here = replace(place, env=place.env | {"POSTHOUSE_GREYLISTING": "true"})
    await put_entry(pool, Entry(whose="*", kind="sender", key="spam.test", action="deny"))
    async with here.running("policy_engine"), here.running("ingress_smtp"):
        await talk(here.port, WAITS)
        await talk(here.port, DENIED)
    await pool.execute(
        "update greylist set first_at = first_at - $1::interval", timedelta(minutes=6)
    )
    async with here.running("policy_engine"), here.running("ingress_smtp"):
        await talk(here.port, PASSES)

    assert len(await find(pool)) == 1
