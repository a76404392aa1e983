"""POP3 behind a load balancer: the true client is seen."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from pop3_gateway.listener import Place
from posthouse.mail.networks import parse_networks
from posthouse.runtime.doorstep import Manners
from posthouse.runtime.proxy_protocol import Proxies
from posthouse.storage.pool import Pool
from support.dialogue import play
from support.pop3 import PASSWORD, add_reader, gateway

pytestmark = pytest.mark.integration

HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 995\r\n"
LOG_IN = f"S: +OK …\nC: USER anna@example.test\nS: +OK\nC: PASS {PASSWORD}\nS: +OK …\n"
PROXIES = Proxies(networks=parse_networks("127.0.0.0/8"))


@pytest.mark.parametrize("tls", [False, True])
async def test_a_client_behind_a_proxy_is_itself(
    pool: Pool,
    tmp_path: Path,
    tls: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path, is_plaintext_allowed=False) as pop3:
        context = pop3.listener.house.certificate
        manners = Manners(context=context if tls else None, proxies=PROXIES)
        places = [Place(host="127.0.0.1", port=0, manners=manners)]
        async with pop3.listener.listening(places, timedelta(seconds=5)):
            port = pop3.listener.addresses[-1][1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEADER)
            if tls:
                await writer.start_tls(pop3.trust, server_hostname="localhost")
            await play(LOG_IN if tls else "S: +OK …", reader, writer)

            [session] = pop3.listener._sessions.values()
            assert session.connection.peer == "192.0.2.7"
            await play("C: QUIT\nS: +OK …\nS: [closes]", reader, writer)
            writer.close()
