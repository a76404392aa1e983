"""Clients that open TCP on the port for implicit TLS and say nothing."""

from __future__ import annotations

import asyncio
import ssl

from support.dialogue import play
from support.ingress import MANNERS, Ingress

HELLO = "S: 220 …\nC: EHLO c.test\nS* 250 AUTH …\n"
BYE = "C: QUIT\nS: 221 …\nS: [closes]"


async def test_silence_before_tls_is_in_nobodys_way(ingress: Ingress, tls: ssl.SSLContext) -> None:
    port = ingress.ports["smtps"]
    reader, writer = await ingress.connect("smtps", tls)
    await play(HELLO, reader, writer)

    crowd = range(MANNERS.room.guests_per_client)
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in crowd]
    refused, beside = await asyncio.open_connection("127.0.0.1", port)
    assert await refused.read() == b""

    await play("C: NOOP\nS: 250 …\n" + BYE, reader, writer)
    other, answer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, local_addr=("127.0.0.2", 0)
    )
    await play(HELLO + BYE, other, answer)
    for one in (writer, beside, answer, *(each for _, each in silent)):
        one.close()
