"""What may stand behind DATA, where it ends, and what is kept of it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from support.dialogue import play
from support.ingress import HOSTNAME, Ingress, running_ingress

TO_DATA = """
S: 220 …
C: EHLO b.test
S* 250 STARTTLS
C: MAIL FROM:<e@far.test>
S: 250 2.1.0 …
C: RCPT TO:<anna@example.test>
S: 250 2.1.5 …
C: DATA
S: 354 …
"""
THEN_OK = """
S: 250 2.0.0 Ok: queued as …
C: QUIT
S: 221 …
S: [closes]
"""
# The whole family of ends that are none (RFC 5321 §2.3.8; "SMTP smuggling").
FALSE_ENDS = [
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r.\n",
    b"\n\n.\n\n", b"\r\r\n.\r\r\n", b"\n.\r\r\n", b"\r\n.\r\r\n", b"\r\n\x00.\r\n", b"\r\n.\x00\r\n",
]  # fmt: skip
SMUGGLED = b"MAIL FROM:<admin@example.test>\r\nRCPT TO:<bert@example.test>\r\nDATA\r\nevil\r\n"


@pytest.fixture(params=[262_144, 16], ids=["memory", "spool"])
async def ingress(
    request: pytest.FixtureRequest, certificate: ssl.SSLContext
) -> AsyncIterator[Ingress]:
    """Run an ingress twice: in the second one every message goes to the spool."""
    async with running_ingress(certificate, spool_above=request.param) as running:
        yield running
        memory, disk = running.reception.space.memory, running.reception.space.disk
        assert memory.take(10_000_000), "all was given back"
        assert disk.take(10_000_000), "all was given back"


@asynccontextmanager
async def session(
    ingress: Ingress,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await ingress.connect()
    try:
        yield reader, writer
    finally:
        writer.close()


async def sent(ingress: Ingress, octets: bytes) -> str:
    """Send ``octets`` behind DATA and return the reply."""
    async with session(ingress) as (reader, writer):
        await play(TO_DATA, reader, writer)
        writer.write(octets)
        reply = (await reader.readline()).decode()
        writer.write(b"QUIT\r\n")
        rest = await reader.read()
        assert rest == b"221 2.0.0 Bye\r\n"
        return reply


def below_our_fields(octets: bytes) -> bytes:
    """Return a stored message without the fields that we put on top."""
    ours, results, theirs = octets.partition(
        f"Authentication-Results: {HOSTNAME}; none\r\n".encode()
    )
    assert ours.startswith(b"Received: from b.test ([127.0.0.1])\r\n")
    assert results
    return theirs


@pytest.mark.parametrize("end", FALSE_ENDS, ids=repr)
async def test_a_false_end_smuggles_nothing(ingress: Ingress, end: bytes) -> None:
    reply = await sent(ingress, b"Subject: x\r\n\r\nhello" + end + SMUGGLED + b"\r\n.\r\n")

    assert reply.startswith(("550 5.6.11 ", "550 5.6.0 "))
    assert not ingress.cellar.mails
    assert not ingress.cellar.objects


@pytest.mark.parametrize(
    ("octets", "kept"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"..\r\n.\r\n", b"\r\n.\r\n"),
        (b"..x\r\n..\r\n...y\r\n.\r\n", b"\r\n.x\r\n.\r\n..y\r\n"),
        (b"a: b\r\n\r\n\xe4\xff\r\n.\r\n", b"a: b\r\n\r\n\xe4\xff\r\n"),
        (b"x" * 65_000 + b"\r\n.\r\n", b"\r\n" + b"x" * 65_000 + b"\r\n"),
    ],
)
@pytest.mark.parametrize("portion", [1_000_000, 1])
async def test_what_was_sent_is_what_is_kept(
    ingress: Ingress, octets: bytes, kept: bytes, portion: int
) -> None:
    if portion == 1 and len(octets) > 100:
        portion = 1009
    async with session(ingress) as (reader, writer):
        await play(TO_DATA, reader, writer)
        for at in range(0, len(octets), portion):
            writer.write(octets[at : at + portion])
            await writer.drain()
            await asyncio.sleep(0)
        await play(THEN_OK, reader, writer)

    assert below_our_fields(ingress.cellar.octets) == kept
    [mail] = ingress.cellar.mails
    assert mail.body == ("7BIT" if octets.isascii() else "8BITMIME")
    assert mail.size == len(ingress.cellar.octets)
    assert ingress.cellar.published == [mail.envelope]


@pytest.mark.parametrize(
    ("octets", "reply"),
    [
        (b"a\0b\r\n.\r\n", "550 5.6.0 "),
        ((b"X-Field: y\r\n") * 45_000 + b"\r\n.\r\n", "552 5.3.4 Message header"),
        (b"x" * 70_000 + b"\r\n.\r\n", "550 5.6.0 "),
        (b"Received: x\r\n" * 51 + b"\r\n\r\n.\r\n", "554 5.4.6 "),
        (b"y" * 100 + b"\r\n" + b"x" * 1_000_000 + b"\r\n.\r\n", "550 5.6.0 "),
        ((b"x" * 998 + b"\r\n") * 1001 + b".\r\n", "552 5.3.4 "),
    ],
)
async def test_what_cannot_be_taken_is_refused_and_the_session_goes_on(
    ingress: Ingress, octets: bytes, reply: str
) -> None:
    assert (await sent(ingress, octets)).startswith(reply)
    assert not ingress.cellar.mails


async def test_the_limit_itself_is_taken(ingress: Ingress) -> None:
    octets = b"\r\n" + (b"x" * 998 + b"\r\n") * 999 + b"x" * 996 + b"\r\n"
    assert len(octets) == 1_000_000

    assert (await sent(ingress, octets + b".\r\n")).startswith("250 2.0.0 ")


async def test_fifty_hops_are_taken(ingress: Ingress) -> None:
    assert (await sent(ingress, b"Received: x\r\n" * 50 + b"\r\n\r\n.\r\n")).startswith("250 ")


async def test_a_message_without_end_is_read_so_far_and_no_further(ingress: Ingress) -> None:
    async with session(ingress) as (reader, writer):
        await play(TO_DATA, reader, writer)

        async def flood() -> None:
            while True:
                writer.write(b"x" * 998 + b"\r\n")
                await writer.drain()

        flooding = asyncio.create_task(flood())
        reply = await reader.readline()
        with pytest.raises(ConnectionError):
            await flooding

    assert reply.startswith(b"552 5.3.4 ")
    assert not ingress.reception.space.is_full


async def test_a_group_of_commands_is_answered_together_and_in_order(ingress: Ingress) -> None:
    group = (
        b"EHLO b.test\r\nMAIL FROM:<e@far.test>\r\nRCPT TO:<anna@example.test>\r\n"
        b"RCPT TO:<nobody@example.test>\r\nDATA\r\n"
    )
    async with session(ingress) as (reader, writer):
        writer.write(group)
        await play("S: 220 …\nS* 250 STARTTLS\nS: 250 2.1.0 …\nS: 250 2.1.5 …\nS: 550 5.1.1 …\nS: 354 …",
                   reader, writer)  # fmt: skip
        writer.write(b"one\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<bert@example.test>\r\nDATA\r\n")
        await play("S: 250 2.0.0 …\nS: 250 2.1.0 …\nS: 250 2.1.5 …\nS: 354 …", reader, writer)
        writer.write(b"two\r\n.\r\nQUIT\r\n")
        await play("S: 250 2.0.0 …\nS: 221 …\nS: [closes]", reader, writer)

    assert [mail.sender for mail in ingress.cellar.mails] == ["e@far.test", ""]


async def test_results_under_our_name_are_removed_and_others_stay(ingress: Ingress) -> None:
    forged = (
        b"Authentication-Results: MX.example.test;\r\n\tauth=pass smtp.auth=boss@example.test\r\n"
    )
    commented = b"authentication-results : (a(b)) mx.EXAMPLE.test 1; dkim=pass\r\n"
    honest = b"Authentication-Results: mx.far.test; spf=pass\r\nSubject: hi\r\n"
    body = b"\r\n" + forged

    await sent(ingress, forged + honest + commented + body + b".\r\n")

    assert below_our_fields(ingress.cellar.octets) == honest + body


async def test_a_submission_gets_its_date_and_message_id(
    ingress: Ingress, tls: ssl.SSLContext
) -> None:
    login = "\nS: 220 …\nC: EHLO c.test\nS* 250 AUTH…\nC: AUTH PLAIN AGFubmFAZXhhbXBsZS50ZXN0AHNlY3JldA==\nS: 235 …\n"
    mail = """
C: MAIL FROM:<anna@example.test>
S: 250 …
C: RCPT TO:<x@far.test>
S: 250 …
C: RCPT TO:<y@far.test>
S: 250 …
C: DATA
S: 354 …
C: Subject: hi
C:
C: .
"""
    reader, writer = await ingress.connect("smtps", tls)
    await play(login + mail + THEN_OK, reader, writer)
    writer.close()

    octets = ingress.cellar.octets
    [entered] = ingress.cellar.mails
    assert b"with ESMTPSA id " in octets
    assert b"for <" not in octets
    assert f"{HOSTNAME};\r\n\tauth=pass smtp.auth=anna@example.test\r\n".encode() in octets
    assert octets.count(b"\r\nDate: ") == 1
    assert f"\r\nMessage-ID: <{entered.id}@{HOSTNAME}>\r\n".encode() in octets
    assert entered.message_id == f"<{entered.id}@{HOSTNAME}>"
    assert (entered.origin, entered.auth) == ("submission", "anna@example.test")


@pytest.mark.parametrize("port", ["submission", "smtps"])
async def test_a_large_message_comes_through_tls_whole(
    ingress: Ingress, tls: ssl.SSLContext, port: str
) -> None:
    starttls = "C: EHLO c.test\nS* 250 STARTTLS\nC: STARTTLS\nS: 220 …\nC: [starts TLS]\n"
    login = "C: EHLO c.test\nS* 250 AUTH…\nC: AUTH PLAIN AGFubmFAZXhhbXBsZS50ZXN0AHNlY3JldA==\n"
    mail = (
        "S: 235 …\nC: MAIL FROM:<anna@example.test>\nS: 250 …\nC: RCPT TO:<x@far.test>\n"
        "S: 250 …\nC: DATA\nS: 354 …\n"
    )
    letter = b"Date: x\r\nMessage-ID: <y>\r\n\r\n" + (b"." * 70 + b"\r\n") * 13_000
    reader, writer = await ingress.connect(port, tls)
    await play("S: 220 …\n" + (starttls if port == "submission" else "") + login + mail,
               reader, writer, tls=tls)  # fmt: skip
    writer.write(letter.replace(b"\r\n.", b"\r\n..") + b".\r\n")
    await play(THEN_OK, reader, writer)
    writer.close()

    assert ingress.cellar.octets.endswith(letter)
    assert b"(using TLSv1.3 with cipher " in ingress.cellar.octets


async def test_when_memory_for_reception_is_spent_mail_waits(certificate: ssl.SSLContext) -> None:
    async with running_ingress(certificate, reception_octets=100_000) as ingress:
        reply = await sent(ingress, b"x" * 60_000 + b"\r\n" + b"x" * 60_000 + b"\r\n.\r\n")
        assert reply.startswith("452 4.3.1 ")

        assert (await sent(ingress, b"x" * 50_000 + b"\r\n.\r\n")).startswith("250 ")


async def test_a_body_without_header_cannot_go_on_in_our_fields(ingress: Ingress) -> None:
    reply = await sent(ingress, b" ; spf=pass smtp.mailfrom=bank.test\r\n.\r\n")

    assert reply.startswith("250 ")
    header, _, body = ingress.cellar.octets.partition(b"\r\n\r\n")
    assert b"spf=pass" not in header
    assert body == b" ; spf=pass smtp.mailfrom=bank.test\r\n"
