"""The postmaster as a process: it migrates, answers, sweeps, buries, waits out outages, and ends."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aio_pika
import asyncpg
import httpx
import pytest

from onemachine.services import inherited_environment
from posthouse.authenticity.dkim.making import Algorithm, make_pem, record_of
from posthouse.blobs import open_blobs
from posthouse.bus.topology import INBOUND, dead_queue
from posthouse.mail.ids import object_key
from posthouse.runtime.dkim_keys import Vault
from posthouse.storage import ledger
from posthouse.storage.dead_letters import Choice, dead_letters
from posthouse.storage.dkim_keys import activate, add_dkim_key
from posthouse.storage.dmarc_results import DMARC_DAYS, DmarcResult, Facts, add_dmarc_results
from posthouse.storage.pool import Pool, transaction
from posthouse.storage.tls_results import TLS_DAYS, Result, add_results
from support.dns_zone import serve_zone
from support.letters_under_way import new_mail
from support.postmaster import TOKEN, until
from support.processes import Service, free_port
from support.servers import needed
from support.signatures import broken_signatures

pytestmark = pytest.mark.integration

SOON = 60.0  # a machine that does much else, too
DKIM_SECRET = "d" * 32
_REPORTS_ENTERED = "select id from envelopes where origin = 'report'"


@pytest.fixture
def settings(postgres_url: str, broker_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "POSTHOUSE_DATABASE_URL": postgres_url,
        "POSTHOUSE_BROKER_URL": broker_url,
        "POSTHOUSE_STORE": f"disk:{tmp_path}/objects",
        "POSTHOUSE_HOSTNAME": "mail.example.test",
        "POSTHOUSE_API_TOKEN": TOKEN,
        "POSTHOUSE_POSTMASTER_PORT": str(free_port()),
        "POSTHOUSE_SWEEP_SECONDS": "0.1",
        "POSTHOUSE_SWEEP_AFTER_SECONDS": "0",
    }


@pytest.fixture
async def service(settings: dict[str, str], tmp_path: Path) -> AsyncIterator[Service]:
    running = Service("postmaster", settings, tmp_path / "log")
    await running.start()
    yield running
    await running.kill()


async def test_it_serves_sweeps_buries_and_ends_with_zero(
    service: Service, settings: dict[str, str], pool: Pool, broker_url: str
) -> None:
    swept = new_mail("anna@example.test")
    await ledger.enter(pool, [swept])
    async with await aio_pika.connect(broker_url) as line:
        channel = await line.channel()
        exchange = await channel.get_exchange("dead")
        await exchange.publish(aio_pika.Message(b"no envelope"), dead_queue(INBOUND))
        queue = await channel.get_queue(INBOUND)
        async with asyncio.timeout(SOON), queue.iterator() as messages:
            message = await anext(messages)
            await message.ack()
    await until(lambda: dead_letters(pool, Choice()), "the letter was not filed")
    port = settings["POSTHOUSE_POSTMASTER_PORT"]
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/api/v1/domains")

    code = await service.terminate()

    log = service.log.read_text()
    assert str(swept.id).encode() in message.body
    assert answer.json() == {"items": [], "next": None}
    assert code == 0
    assert TOKEN not in log
    assert '"event":"request answered"' in log


async def keys_of(pool: Pool, domain: str) -> dict[str, str]:
    """Let an RSA and an Ed25519 key of ``domain`` sign; return what is published of them."""
    vault, records = Vault(DKIM_SECRET.encode()), dict[str, str]()
    both: tuple[Algorithm, ...] = ("rsa", "ed25519")
    for algorithm in both:
        pem = make_pem(algorithm)
        async with transaction(pool) as tx:
            sealed = vault.seal(domain, algorithm, pem)
            await add_dkim_key(tx, sealed, record_of(pem), rotates=False)
            await activate(tx, domain, algorithm)
        records[f"{algorithm}._domainkey.{domain}"] = record_of(pem)
    return records


async def test_reports_go_their_way_by_themselves_signed_by_both_keys(
    settings: dict[str, str], pool: Pool, broker_url: str, tmp_path: Path
) -> None:
    day = (datetime.now(UTC) - timedelta(days=2)).date()
    facts = Facts(published="p=reject", source="192.0.2.1", author="b.test")
    await add_results(pool, [Result(day=day, domain="b.test", kind="sts")])
    await add_dmarc_results(pool, [DmarcResult(day=day, domain="b.test", facts=facts)])
    records = await keys_of(pool, "example.test")
    wants = {
        "_smtp._tls.b.test": ['TXT "v=TLSRPTv1; rua=mailto:tls@b.test"'],
        "_dmarc.b.test": ['TXT "v=DMARC1; p=reject; rua=mailto:dmarc@b.test"'],
    }
    async with serve_zone(wants) as zone:
        more = {
            "POSTHOUSE_NAMESERVERS": zone.nameservers,
            "POSTHOUSE_TLS_REPORT_ADDRESS": "reports@example.test",
            "POSTHOUSE_DMARC_REPORT_ADDRESS": "reports@example.test",
            "POSTHOUSE_DKIM_SECRET": DKIM_SECRET,
        }
        running = Service("postmaster", settings | more, tmp_path / "log")
        await running.start()
        try:
            async with await aio_pika.connect(broker_url) as line:
                queue = await (await line.channel()).get_queue(INBOUND)
                bodies = b""
                async with asyncio.timeout(SOON), queue.iterator() as messages:
                    while not (b"tls@b.test" in bodies and b"dmarc@b.test" in bodies):
                        message = await anext(messages)
                        await message.ack()
                        bodies += message.body
        finally:
            await running.kill()

    for days, to in ((TLS_DAYS, "tls@b.test"), (DMARC_DAYS, "dmarc@b.test")):
        told = await days.sent(pool, (day, ""), 10)
        assert [(each.domain, each.how) for each in told] == [("b.test", to)]
    async with open_blobs(settings["POSTHOUSE_STORE"]) as blobs:
        mails = [
            await blobs.get(object_key(row["id"])) for row in await pool.fetch(_REPORTS_ENTERED)
        ]
    assert [broken_signatures(octets, records) for octets in mails] == [[], []]


async def test_faulty_settings_are_all_told_at_once(settings: dict[str, str]) -> None:
    del settings["POSTHOUSE_API_TOKEN"]
    faulty = settings | {"POSTHOUSE_KEEP_DAYS": "1", "POSTHOUSE_POSTMASTER_PORT": "harbour"}

    code, errors = await _run(["-m", "postmaster"], faulty)

    assert code == 78
    for name in ("API_TOKEN", "KEEP_DAYS", "POSTMASTER_PORT"):
        assert f"POSTHOUSE_{name}" in errors


MIGRATE = ("-c", "from postmaster.cli import main; main()", "migrate")


async def test_the_command_migrates_an_empty_database_once() -> None:
    server, name = needed("POSTHOUSE_TEST_POSTGRES"), f"test_{secrets.token_hex(6)}"
    url = {"POSTHOUSE_DATABASE_URL": f"{server.rpartition('/')[0]}/{name}"}
    root = await asyncpg.connect(server)
    await root.execute(f"create database {name}")
    try:
        first, second = await _run(MIGRATE, url), await _run(MIGRATE, url)
    finally:
        await root.execute(f"drop database {name} with (force)")
        await root.close()

    assert first == (0, "")
    assert second == (0, "")


async def test_a_migration_that_cannot_be_done_is_refused_in_a_sentence() -> None:
    server = needed("POSTHOUSE_TEST_POSTGRES")
    for settings, words in (
        ({}, "POSTHOUSE_DATABASE_URL"),
        ({"POSTHOUSE_DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "does not answer"),
        ({"POSTHOUSE_DATABASE_URL": f"{server.rpartition('/')[0]}/nowhere"}, "does not exist"),
    ):
        code, sentence = await _run(MIGRATE, settings)

        assert code == 1
        assert words in sentence
        assert "Traceback" not in sentence


async def _run(arguments: Sequence[str], settings: dict[str, str]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        env=inherited_environment() | settings,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SOON):
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, errors.decode()
