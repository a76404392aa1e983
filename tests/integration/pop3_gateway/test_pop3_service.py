"""pop3-gateway as it runs: its settings, its loop, its signals."""

from __future__ import annotations

import asyncio
import poplib
import ssl
from pathlib import Path

import pytest

from onemachine.certificates import certificates
from posthouse.storage.pool import Pool
from support.pop3 import PASSWORD, add_reader, gateway
from support.processes import free_port, running

pytestmark = pytest.mark.integration

LETTER = b"Subject: hello\r\n\r\nHello\r\n"


def _read(client: poplib.POP3) -> int:
    try:
        client.user("anna@example.test")
        client.pass_(PASSWORD)
        for n in range(client.stat()[0]):
            assert client.retr(n + 1)[1][-1] == b"Hello"
        return client.stat()[0]
    finally:
        client.quit()


def _over_stls(port: int, trust: ssl.SSLContext) -> int:
    client = poplib.POP3("localhost", port, timeout=10)
    client.stls(trust)
    return _read(client)


def _over_tls(port: int, trust: ssl.SSLContext) -> int:
    return _read(poplib.POP3_SSL("localhost", port, context=trust, timeout=10))


async def test_the_service_serves_both_doors_and_ends_when_told(
    pool: Pool, postgres_url: str, broker_url: str, tmp_path: Path
) -> None:
    files = certificates(tmp_path / "tls", ("localhost",))
    trust = ssl.create_default_context(cafile=str(files.authority))
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as filler:
        await filler.deliver(account, LETTER, LETTER)
    plain, tls = free_port(), free_port()
    settings = {
        "POSTHOUSE_DATABASE_URL": postgres_url,
        "POSTHOUSE_BROKER_URL": broker_url,
        "POSTHOUSE_STORE": f"disk:{tmp_path}/objects",
        "POSTHOUSE_HOSTNAME": "mx.example.test",
        "POSTHOUSE_POP3_PORT": str(plain),
        "POSTHOUSE_POP3S_PORT": str(tls),
        "POSTHOUSE_TLS_CERTIFICATE": str(files.chain),
        "POSTHOUSE_TLS_KEY": str(files.key),
    }

    async with running("pop3_gateway", settings, tmp_path) as service:
        assert await asyncio.to_thread(_over_stls, plain, trust) == 2
        assert await asyncio.to_thread(_over_tls, tls, trust) == 2
        reader, writer = await asyncio.open_connection("127.0.0.1", plain)
        assert (await reader.readline()).startswith(b"+OK")

        assert await service.terminate() == 0

        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    events = await pool.fetchval("select count(*) from events where what = 'read'")
    assert events == 4
