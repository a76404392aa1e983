"""Who comes in and how: proxies, robots that do not wait, hosts that speak for others, greetings."""

from __future__ import annotations

import asyncio
import ssl
import struct
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest

from ingress_smtp.ports import Limits
from posthouse.mail.networks import Breadth, parse_networks
from posthouse.runtime.proxy_protocol import SIGNATURE, Proxies
from support.dialogue import play
from support.ingress import HOSTNAME, LIMITS, MANNERS, TERMS, Ingress, running_ingress

LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n"
BLOCK = ip_address("192.0.2.7").packed + ip_address("198.51.100.1").packed + b"\x9c\x40\x00\x19"
BINARY = SIGNATURE + struct.pack("!BBH", 0x21, 0x11, len(BLOCK)) + BLOCK
CHECK = SIGNATURE + struct.pack("!BBH", 0x20, 0x00, 0)
HERE = parse_networks("127.0.0.0/8")
BEHIND_PROXIES = replace(LIMITS, manners=replace(MANNERS, proxies=Proxies(networks=HERE)))
MAIL = """
C: EHLO b.test
S* 250 …
C: MAIL FROM:<e@far.test>
S: 250 2.1.0 …
C: RCPT TO:<anna@example.test>
S: 250 2.1.5 …
C: DATA
S: 354 …
C: hello
C: .
S: 250 2.0.0 …
"""
LOGIN = """
C: EHLO b.test
S* 250 …
C: AUTH PLAIN AGFubmFAZXhhbXBsZS50ZXN0AHNlY3JldA==
S: 235 2.7.0 …
C: MAIL FROM:<anna@example.test>
S: 250 2.1.0 …
C: RCPT TO:<bert@example.test>
S: 250 2.1.5 …
C: DATA
S: 354 …
C: From: anna@example.test
C:
C: hello
C: .
S: 250 2.0.0 …
"""


def seen_as(ingress: Ingress) -> str:
    """Return the client's address in the Received field of the only message."""
    return ingress.cellar.octets.partition(b"([")[2].partition(b"])")[0].decode()


async def came(
    ingress: Ingress, *portions: bytes, port: str = "mx"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open TCP and send ``portions``, each in a packet of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", ingress.ports[port])
    for portion in portions:
        writer.write(portion)
        await writer.drain()
        await asyncio.sleep(0.01)  # so that they come apart
    return reader, writer


def cut(octets: bytes) -> list[bytes]:
    return [octets[n : n + 9] for n in range(0, len(octets), 9)]


@pytest.mark.parametrize(
    "portions", [[LINE], cut(LINE), [BINARY], cut(BINARY)], ids=["1", "1 cut", "2", "2 cut"]
)
async def test_a_client_behind_a_proxy_is_itself(
    certificate: ssl.SSLContext, portions: list[bytes]
) -> None:
    async with running_ingress(certificate, limits=BEHIND_PROXIES) as ingress:
        reader, writer = await came(ingress, *portions)
        await play("S: 220 …" + MAIL + "C: QUIT\nS: 221 …\nS: [closes]", reader, writer)

        assert seen_as(ingress) == "192.0.2.7"
        assert ingress.cellar.mails[0].client.startswith("192.0.2.7 ")
        writer.close()


@pytest.mark.parametrize("header", [LINE, BINARY])
async def test_implicit_tls_begins_behind_the_header(
    certificate: ssl.SSLContext, tls: ssl.SSLContext, header: bytes
) -> None:
    async with running_ingress(certificate, limits=BEHIND_PROXIES) as ingress:
        reader, writer = await came(ingress, header, port="smtps")
        await writer.start_tls(tls, server_hostname="localhost")
        await play("S: 220 …" + LOGIN, reader, writer)

        assert seen_as(ingress) == "192.0.2.7"
        assert b"using TLSv1.3 with cipher TLS_" in ingress.cellar.octets
        assert "192.0.2.7 b.test (TLSv1.3 TLS_" in ingress.cellar.mails[0].client
        writer.close()


async def test_starttls_works_behind_a_proxy(
    certificate: ssl.SSLContext, tls: ssl.SSLContext
) -> None:
    async with running_ingress(certificate, limits=BEHIND_PROXIES) as ingress:
        reader, writer = await came(ingress, LINE)
        script = "S: 220 …\nC: EHLO b.test\nS* 250 …\nC: STARTTLS\nS: 220 …\nC: [starts TLS]"
        await play(script + MAIL, reader, writer, tls=tls)

        assert seen_as(ingress) == "192.0.2.7"
        writer.close()


async def test_a_proxy_speaks_for_itself_too(certificate: ssl.SSLContext) -> None:
    async with running_ingress(certificate, limits=BEHIND_PROXIES) as ingress:
        reader, writer = await came(ingress, CHECK)
        await play("S: 220 …" + MAIL, reader, writer)

        assert seen_as(ingress) == "127.0.0.1"
        writer.close()


@pytest.mark.parametrize("octets", [b"EHLO b.test\r\n", b"\x16\x03\x01", b"PROXY TCP4 x\r\n"])
@pytest.mark.parametrize("port", ["mx", "smtps"])
async def test_a_proxy_without_a_header_is_hung_up_on(
    certificate: ssl.SSLContext, octets: bytes, port: str
) -> None:
    async with running_ingress(certificate, limits=BEHIND_PROXIES) as ingress:
        reader, writer = await came(ingress, octets, port=port)
        async with asyncio.timeout(5):
            assert await _rest(reader) == b""
        writer.close()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


def elsewhere(*, is_required: bool) -> Limits:
    proxies = Proxies(networks=parse_networks("192.0.2.0/24"), is_required=is_required)
    return replace(LIMITS, manners=replace(MANNERS, proxies=proxies))


@pytest.mark.parametrize("port", ["mx", "smtps"])
async def test_who_comes_round_the_proxy_is_not_let_in(
    certificate: ssl.SSLContext, port: str
) -> None:
    async with running_ingress(certificate, limits=elsewhere(is_required=True)) as ingress:
        reader, writer = await came(ingress, port=port)
        async with asyncio.timeout(5):
            assert await _rest(reader) == b""
        writer.close()


async def test_a_header_from_elsewhere_is_nonsense(certificate: ssl.SSLContext) -> None:
    async with running_ingress(certificate, limits=elsewhere(is_required=False)) as ingress:
        reader, writer = await came(ingress)
        await play("S: 220 …" + MAIL, reader, writer)
        assert seen_as(ingress) == "127.0.0.1"
        writer.close()

        reader, writer = await came(ingress, LINE)
        await play("S: 220 …\nS: 521 5.5.1 …\nS: [closes]", reader, writer)
        writer.close()

        reader, writer = await came(ingress, BINARY)
        await play("S: 220 …\nS: 500 …\nS: 500 …\nS: 500 …\nS: 500 …\nS: [closes]", reader, writer)
        writer.close()


async def test_each_client_behind_a_proxy_has_sessions_of_its_own(
    certificate: ssl.SSLContext,
) -> None:
    limits = replace(BEHIND_PROXIES, sessions_per_client=1)
    async with running_ingress(certificate, limits=limits) as ingress:
        first, writer = await came(ingress, LINE)
        await play("S: 220 …", first, writer)
        second, its_writer = await came(ingress, LINE)
        await play("S: 421 4.3.2 …\nS: [closes]", second, its_writer)
        other, other_writer = await came(ingress, LINE.replace(b"192.0.2.7", b"192.0.2.8"))
        await play("S: 220 …", other, other_writer)
        for each in (writer, its_writer, other_writer):
            each.close()


async def test_neighbours_are_one_client_if_the_operator_says_so() -> None:
    manners = replace(BEHIND_PROXIES.manners, breadth=Breadth(ipv4_bits=24))
    limits = replace(LIMITS, sessions_per_client=1, manners=manners)
    async with running_ingress(None, limits=limits) as ingress:
        first, writer = await came(ingress, LINE)
        await play("S: 220 …", first, writer)
        second, its_writer = await came(ingress, LINE.replace(b"192.0.2.7", b"192.0.2.8"))
        await play("S: 421 4.3.2 …\nS: [closes]", second, its_writer)
        other, other_writer = await came(ingress, LINE.replace(b"192.0.2.7", b"192.0.3.7"))
        await play("S: 220 …", other, other_writer)
        for each in (writer, its_writer, other_writer):
            each.close()


async def test_a_robot_that_does_not_wait_is_sent_away() -> None:
    terms = replace(TERMS, greet_delay=timedelta(seconds=20))
    async with running_ingress(None, terms=terms) as ingress:
        reader, writer = await came(ingress, b"EHLO bot.test\r\n")
        await play("S: 554 5.5.1 …\nS: [closes]", reader, writer)
        writer.close()
        for port in ("lmtp", "submission"):  # nobody there is a stranger
            reader, writer = await came(ingress, port=port)
            await play("S: 220 …", reader, writer)
            writer.close()


async def test_who_waits_is_greeted() -> None:
    terms = replace(TERMS, greet_delay=timedelta(seconds=0.1))
    async with running_ingress(None, terms=terms) as ingress:
        began = asyncio.get_running_loop().time()
        reader, writer = await came(ingress)
        await play("S: 220 …" + MAIL, reader, writer)

        assert asyncio.get_running_loop().time() - began >= 0.1
        writer.close()


async def test_who_speaks_for_others_need_not_wait() -> None:
    terms = replace(TERMS, greet_delay=timedelta(hours=1))
    async with running_ingress(None, terms=terms) as ingress:
        reader, writer = await came(ingress, port="trusted")
        await play("S: 220 …\nC: EHLO f.test\nS* 250 XCLIENT …", reader, writer)
        await play("C: XCLIENT ADDR=192.0.2.7\nS: 220 …", reader, writer)
        writer.close()


async def test_a_neighbour_need_not_wait() -> None:
    terms = replace(TERMS, greet_delay=timedelta(hours=1), greet_at_once=HERE)
    async with running_ingress(None, terms=terms) as ingress:
        reader, writer = await came(ingress)
        await play("S: 220 …", reader, writer)
        writer.close()


async def test_who_waits_for_the_greeting_is_told_when_we_go() -> None:
    terms = replace(TERMS, greet_delay=timedelta(hours=1))
    async with running_ingress(None, terms=terms) as ingress:
        reader, writer = await came(ingress)
        await ingress.listeners.drain(timedelta(seconds=5))
        await play("S: 421 4.3.2 …\nS: [closes]", reader, writer)
        writer.close()


async def test_the_operator_writes_the_greeting() -> None:
    terms = replace(TERMS, greeting=f"{HOSTNAME} ESMTP No spam, please")
    async with running_ingress(None, terms=terms) as ingress:
        reader, writer = await ingress.connect()
        await play(f"S: 220 {HOSTNAME} ESMTP No spam, please", reader, writer)
        writer.close()


async def test_mail_of_one_who_is_spoken_for_is_his(ingress: Ingress) -> None:
    reader, writer = await ingress.connect("trusted")
    said = "C: XCLIENT ADDR=192.0.2.7 HELO=other.test PROTO=ESMTP LOGIN=anna@example.test\nS: 220 …"
    mail = MAIL.replace("e@far", "anna@example").replace("\nC: EHLO b.test\nS* 250 …", "")
    await play("S: 220 …\n" + said + mail, reader, writer)

    assert b"from other.test ([192.0.2.7])" in ingress.cellar.octets
    assert ingress.cellar.mails[0].auth == "anna@example.test"
    assert b"with ESMTPA " in ingress.cellar.octets
    writer.close()


async def test_a_received_field_says_lmtp(ingress: Ingress) -> None:
    reader, writer = await ingress.connect("lmtp")
    await play("S: 220 …" + MAIL.replace("EHLO", "LHLO"), reader, writer)

    assert b"with LMTP id" in ingress.cellar.octets
    writer.close()
