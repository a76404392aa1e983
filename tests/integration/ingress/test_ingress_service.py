"""Ingress as it runs: 250 means safe, whatever happens to the process afterwards."""

from __future__ import annotations

import asyncio
import re
import signal
from uuid import UUID

import pytest

from posthouse.bus.topology import LOCAL
from posthouse.mail.ids import object_key
from posthouse.storage.pool import Pool
from support.dialogue import play
from support.place import Place
from support.roads import Management

pytestmark = pytest.mark.integration

HELLO = "S: 220 …\nC: EHLO b.test\nS* 250 ENHANCEDSTATUSCODES\n"
MAIL = (
    b"MAIL FROM:<eve@far.test>\r\nRCPT TO:<anna@example.test>\r\nDATA\r\n",
    b"Subject: hi\r\nMessage-ID: <x@far.test>\r\n\r\nbody\r\n.\r\n",
)
QUEUED = re.compile(rb"250 2\.0\.0 Ok: queued as ([0-9a-f-]{36})\r\n")


async def send_for_ever(port: int, accepted: list[UUID]) -> None:
    """Send mail after mail and note which were accepted; end when the server does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await play(HELLO, reader, writer)
        while True:
            writer.write(MAIL[0])
            for _ in range(3):
                await reader.readuntil(b"\r\n")
            writer.write(MAIL[1])
            queued = QUEUED.fullmatch(await reader.readuntil(b"\r\n"))
            if queued is None:
                return
            accepted.append(UUID(queued[1].decode()))
    except (OSError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()


async def until_accepted(accepted: list[UUID], count: int) -> None:
    async with asyncio.timeout(60):
        while len(accepted) < count:  # noqa: ASYNC110 - the senders know of no event
            await asyncio.sleep(0.01)


async def in_ledger(pool: Pool) -> set[UUID]:
    rows = await pool.fetch("select envelope from recipients where address = 'anna@example.test'")
    return {row["envelope"] for row in rows}


async def test_a_mail_goes_from_smtp_to_the_road_of_its_mailbox(
    place: Place, pool: Pool, broker_api: str, broker_url: str
) -> None:
    async with place.running("policy_engine"), place.running("ingress_smtp"):
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        await play(
            HELLO + "C: MAIL FROM:<eve@far.test>\nS: 250 …\nC: RCPT TO:<nobody@example.test>\n"
            "S: 550 5.1.1 …\nC: RCPT TO:<x@far.test>\nS: 550 5.7.1 …\n"
            "C: RCPT TO:<anna+lists@example.test>\nS: 250 …\nC: DATA\nS: 354 …\n"
            "C: Message-ID: <one@far.test>\nC:\nC: body\nC: .\nS: 250 2.0.0 …\nC: QUIT\nS: 221 …",
            reader, writer,
        )  # fmt: skip
        writer.close()

        async with Management(broker_api, broker_url) as management, asyncio.timeout(20):
            while not (letters := await management.letters(LOCAL)):  # noqa: ASYNC110 - HTTP
                await asyncio.sleep(0.05)

    assert len(letters) == 1
    row = await pool.fetchrow(
        "select e.message_id, e.client, r.state, r.folder from envelopes e"
        " join recipients r on r.envelope = e.id"
    )
    assert row is not None
    assert tuple(row.values()) == ("<one@far.test>", "127.0.0.1 b.test", "routed", "lists")
    assert not await pool.fetch("select id from unpublished")


async def test_whatever_got_its_250_survives_kill_9(place: Place, pool: Pool) -> None:
    accepted: list[UUID] = []
    async with place.running("policy_engine"), place.running("ingress_smtp") as ingress:
        senders = [asyncio.create_task(send_for_ever(place.port, accepted)) for _ in range(8)]
        await until_accepted(accepted, 100)
        ingress.send_signal(signal.SIGKILL)
        await asyncio.gather(*senders)

    assert set(accepted) <= await in_ledger(pool)
    assert all((place.store / object_key(ident)).is_file() for ident in accepted)
    assert len(set(accepted)) == len(accepted)


async def test_sigterm_loses_nothing_and_keeps_what_it_promised(place: Place, pool: Pool) -> None:
    accepted: list[UUID] = []
    async with place.running("policy_engine"), place.running("ingress_smtp") as ingress:
        senders = [asyncio.create_task(send_for_ever(place.port, accepted)) for _ in range(8)]
        await until_accepted(accepted, 50)
        ingress.send_signal(signal.SIGTERM)
        await asyncio.gather(*senders)
        assert await ingress.wait() == 0

    assert set(accepted) == await in_ledger(pool)
    assert not await pool.fetch("select id from unpublished")
