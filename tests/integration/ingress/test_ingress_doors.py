"""The doors of ingress as it runs: what the settings say is what a client meets; idle ones are cheap."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from onemachine.certificates import Certificates, certificates
from onemachine.ports import free_ports
from posthouse.storage.pool import Pool
from support.dialogue import play
from support.place import Place

pytestmark = pytest.mark.integration

FIRST = 100  # for what is made once
IDLE = 600  # enough to tell; `make bench` weighs 2,000
MOST_KIB = {False: 20, True: 40}  # each, in plain text and under TLS
GREETING = "mx.example.test ESMTP We listen"
MAIL = """
C: MAIL FROM:<eve@far.test>
S: 250 2.1.0 …
C: RCPT TO:<anna@example.test>
S: 250 2.1.5 …
C: DATA
S: 354 …
C: hello
C: .
S: 250 2.0.0 …
"""


def told(place: Place, **settings: object) -> Place:
    """Return ``place`` with these settings besides."""
    more = {f"POSTHOUSE_{name}": str(value) for name, value in settings.items()}
    return replace(place, env=place.env | more)


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    certificates(tmp_path / "tenant", ["mail.tenant.test"])
    (tmp_path / "names" / "tenant").mkdir(parents=True)
    for made, mounted in (("cert.pem", "tls.crt"), ("key.pem", "tls.key")):
        (tmp_path / "names" / "tenant" / mounted).write_bytes(
            (tmp_path / "tenant" / made).read_bytes()
        )
    return certificates(tmp_path / "tls", ["localhost"])


def trusting(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))


async def test_settings_of_doors_are_what_a_client_meets(
    place: Place, pool: Pool, files: Certificates, tmp_path: Path
) -> None:
    smtps, lmtp = free_ports(2)
    place = told(
        place, SMTPS_PORT=smtps, LMTP_PORT=lmtp, SMTP_GREETING=GREETING,
        TLS_CERTIFICATE=files.chain, TLS_KEY=files.key, TLS_FOLDER=tmp_path / "names",
        PROXY_NETWORKS="127.0.0.0/8", XCLIENT_NETWORKS="192.0.2.7",
    )  # fmt: skip
    async with place.running("policy_engine"), place.running("ingress_smtp"):
        reader, writer = await behind_a_proxy(place.port)
        script = f"S: 220 {GREETING}\nC: EHLO b.test\nS* 250 XCLIENT …\nC: XCLIENT ADDR=192.0.2.9"
        await play(script + f"\nS: 220 {GREETING}\nC: EHLO c.test\nS* 250 …" + MAIL, reader, writer)
        writer.close()

        reader, writer = await behind_a_proxy(lmtp)
        await play("S: 220 mx.example.test LMTP …\nC: LHLO d.test\nS* 250 …" + MAIL, reader, writer)
        writer.close()

        for name, authority in (
            ("localhost", files.authority),
            ("mail.tenant.test", tmp_path / "tenant" / "ca.pem"),
        ):
            reader, writer = await behind_a_proxy(smtps)
            await writer.start_tls(trusting(authority), server_hostname=name)
            await play(f"S: 220 {GREETING}", reader, writer)
            writer.close()

    rows = await pool.fetch("select client from envelopes order by id")
    assert [row["client"] for row in rows] == ["192.0.2.9 c.test", "192.0.2.7 d.test"]


async def behind_a_proxy(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n")
    return reader, writer


def resident_kib(process: int) -> int:
    """Return how much memory a process has, from /proc (proc(5))."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def come_and_keep_silent(port: int, tls: ssl.SSLContext | None, count: int) -> list[socket.socket]:
    """Have clients come one after the other, be greeted, say EHLO and keep silent."""
    clients = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port))
        if tls:
            client = tls.wrap_socket(client, server_hostname="localhost")
        clients.append(client)
        with client.makefile("rb") as replies:
            assert replies.readline().startswith(b"220 ")
            client.sendall(b"EHLO idle.test\r\n")
            while replies.readline()[3:4] == b"-":
                pass
    return clients


async def test_an_idle_session_takes_little_memory(place: Place, files: Certificates) -> None:
    [smtps] = free_ports(1)
    place = told(
        place, SMTPS_PORT=smtps, TLS_CERTIFICATE=files.chain, TLS_KEY=files.key,
        SESSIONS_MAX=5000, SESSIONS_PER_CLIENT_MAX=5000, RATE_CLIENT_CONNECTIONS="0",
    )  # fmt: skip
    async with (
        place.running("policy_engine"),
        place.running("ingress_smtp", alone=True) as process,
    ):
        for port, tls in ((place.port, None), (smtps, trusting(files.authority))):
            clients = await asyncio.to_thread(come_and_keep_silent, port, tls, FIRST)
            before = resident_kib(process.pid)
            clients += await asyncio.to_thread(come_and_keep_silent, port, tls, IDLE)
            each = (resident_kib(process.pid) - before) / IDLE

            print(f"{each:.1f} KiB for an idle session, {tls=}")  # noqa: T201 - the figure
            assert 0 < each < MOST_KIB[tls is not None]
            for client in clients:
                client.close()
