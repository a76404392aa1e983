"""Two whole services as the command starts them, over a real broker."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

import pytest

from onemachine.services import inherited_environment
from posthouse.storage.pool import Pool
from support.imap import LETTER, User, add_reader

pytestmark = pytest.mark.integration


def a_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def start(environment: dict[str, str], port: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "imap_gateway", stdout=asyncio.subprocess.DEVNULL,
        env={**environment, "POSTHOUSE_IMAP_PORT": str(port)},
    )  # fmt: skip


async def a_user(port: int) -> User:
    async with asyncio.timeout(30):
        while True:
            try:
                user = User(*await asyncio.open_connection("127.0.0.1", port))
            except OSError:
                await asyncio.sleep(0.05)
                continue
            await user.login()
            await user.say("SELECT INBOX")
            return user


async def test_what_one_service_changes_the_other_tells_within_a_second(
    pool: Pool, postgres_url: str, broker_url: str, tmp_path: Path
) -> None:
    await add_reader(pool)
    environment = {
        **inherited_environment(),
        "POSTHOUSE_DATABASE_URL": postgres_url,
        "POSTHOUSE_BROKER_URL": broker_url,
        "POSTHOUSE_STORE": f"disk:{tmp_path}/objects",
        "POSTHOUSE_HOSTNAME": "mail.example.test",
        "POSTHOUSE_IMAPS_PORT": "0",
        "POSTHOUSE_IMAP_PLAINTEXT_LOGIN": "true",
    }
    ports = (a_port(), a_port())
    services = [await start(environment, port) for port in ports]
    try:
        idler, worker = [await a_user(port) for port in ports]
        await idler.send(b"i IDLE\r\n")
        await idler.hear()
        # The bus may still be connecting: the first notice may come late, not those after it.
        await worker.append("INBOX", LETTER)
        async with asyncio.timeout(40):
            while b"EXISTS" not in await idler.reader.readline():
                pass
        for number in range(2, 6):
            await worker.append("INBOX", LETTER)
            async with asyncio.timeout(1):
                while await idler.hear() != b"* %d EXISTS" % number:
                    pass

        for service in services:
            service.send_signal(signal.SIGTERM)

        assert (await idler.reader.read()).endswith(b"* BYE Server is shutting down\r\n")
        assert [await service.wait() for service in services] == [0, 0]
        for user in (idler, worker):
            user.close()
    finally:
        for service in services:
            if service.returncode is None:
                service.kill()
                await service.wait()
