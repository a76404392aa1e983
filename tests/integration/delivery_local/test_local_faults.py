"""delivery-local as it runs: killed under load, its envelopes doubled, its broker real."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from posthouse.blobs import open_blobs
from posthouse.bus.connection import connect
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import LOCAL
from posthouse.mail.envelope import Local
from posthouse.mime import scan
from posthouse.storage.pool import Pool
from posthouse.telemetry.probes import Probes
from support.delivery import accept
from support.filings import add_accounts
from support.processes import running

pytestmark = pytest.mark.integration

LETTER = b"From: bert@example.test\r\nSubject: hello\r\n\r\nHello.\r\n"
MAILS = 600
PATIENCE_SECONDS = 100.0


async def _entered(pool: Pool, folder: Path, accounts: list[int]) -> list[Local]:
    async with open_blobs(f"disk:{folder}/objects") as blobs:
        return [
            await accept(pool, blobs, LETTER, [account], summary=scan(LETTER))
            for _ in range(MAILS // len(accounts))
            for account in accounts
        ]


async def _until_settled(pool: Pool) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while await pool.fetchval("select count(*) from recipients where settled_at is null"):
        assert time.monotonic() < end, "not everything was delivered"
        await asyncio.sleep(0.1)


async def test_killed_again_and_again_under_doubled_load_each_mail_is_filed_once(
    pool: Pool, postgres_url: str, broker_url: str, tmp_path: Path
) -> None:
    accounts = await add_accounts(pool, *(f"u{n}" for n in range(6)))
    envelopes = await _entered(pool, tmp_path, list(accounts.values()))
    chance = random.Random(3)  # noqa: S311 - an order, not a secret
    doubled = [*envelopes, *chance.sample(envelopes, k=MAILS // 3)]
    chance.shuffle(doubled)
    settings = {
        "POSTHOUSE_DATABASE_URL": postgres_url,
        "POSTHOUSE_BROKER_URL": broker_url,
        "POSTHOUSE_STORE": f"disk:{tmp_path}/objects",
        "POSTHOUSE_HOSTNAME": "mx.example.test",
        "POSTHOUSE_LOCAL_BATCH": "20",
    }

    async with (
        running("delivery_local", settings, tmp_path) as one,
        running("delivery_local", settings, tmp_path) as other,
        connect(broker_url, Probes(), "test") as broker,
    ):
        publisher = Publisher(broker)
        for turn, at in enumerate(range(0, len(doubled), 100)):
            await publisher.send(LOCAL, doubled[at : at + 100])
            victim = (one, other)[turn % 2]
            await victim.kill()
            await victim.start()
        await _until_settled(pool)
        assert await one.terminate() == 0
        assert await other.terminate() == 0

    rows = await pool.fetch("select object_id, count(*) from contents group by 1")
    assert {row["object_id"] for row in rows} == {envelope.id for envelope in envelopes}
    assert {row["count"] for row in rows} == {1}
    counted = await pool.fetchval("select sum(exists_)::int from mailboxes")
    assert counted == await pool.fetchval("select count(*) from messages") == MAILS
