"""IMAP behind a load balancer: the true client is seen; silence on 993 is bounded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from posthouse.mail.networks import parse_networks
from posthouse.runtime.doorstep import Manners
from posthouse.runtime.proxy_protocol import Proxies
from posthouse.storage.pool import Pool
from support.imap import PASSWORD, add_reader, gateway

pytestmark = pytest.mark.integration

PROXIES = Proxies(networks=parse_networks("127.0.0.0/8"))
HEADER = b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 993\r\n"


@pytest.mark.parametrize("tls", [False, True])
async def test_a_client_behind_a_proxy_is_itself(
    pool: Pool,
    tmp_path: Path,
    tls: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        imap.listener.manners = Manners(proxies=PROXIES)
        port = await imap.listener.listen("127.0.0.1", 0, tls=tls)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEADER)
        if tls:
            await writer.start_tls(imap.trust, server_hostname="localhost")
        assert (await reader.readline()).startswith(b"* OK ")
        writer.write(f'a LOGIN anna@example.test "{PASSWORD}"\r\n'.encode())
        assert b"a OK " in await reader.readline()

        assert [one.peer for one in imap.listener._connections] == ["2001:db8::7"]
        writer.close()


@pytest.mark.parametrize("tls", [False, True])
async def test_a_proxy_without_a_header_is_hung_up_on(
    pool: Pool,
    tmp_path: Path,
    tls: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    async with gateway(pool, tmp_path) as imap:
        imap.listener.manners = Manners(proxies=PROXIES)
        port = await imap.listener.listen("127.0.0.1", 0, tls=tls)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"a NOOP\r\n")
        async with asyncio.timeout(5):
            assert await _rest(reader) == b""
        writer.close()


async def test_the_end_hangs_up_on_those_who_shake_hands(pool: Pool, tmp_path: Path) -> None:
    async with gateway(pool, tmp_path) as imap:
        reader, writer = await asyncio.open_connection("127.0.0.1", imap.ports[1])
    async with asyncio.timeout(5):
        assert await _rest(reader) == b""
    writer.close()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""
