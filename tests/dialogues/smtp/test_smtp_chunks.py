"""BDAT: what is kept of chunks, of whatever size, and what a client that misuses them gets."""

from __future__ import annotations

import asyncio
import email
import errno
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from ingress_smtp.framing import DRAIN_OCTETS
from ingress_smtp.letterhead import Letterhead
from ingress_smtp.listener import Patience
from posthouse.mime import scan
from posthouse.runtime.spool import SpoolFile
from support.dialogue import play
from support.ingress import HOSTNAME, LIMITS, Ingress, running_ingress

HELLO = "S: 220 …\nC: EHLO b.test\nS* 250 …\n"
MAIL = "C: MAIL FROM:<e@far.test>{}\nS: 250 …\nC: RCPT TO:<anna@example.test>\nS: 250 …\n"
TO_CHUNKS = HELLO + MAIL.format("")
TO_BINARY = HELLO + MAIL.format(" BODY=BINARYMIME")


@pytest.fixture(params=[262_144, 16], ids=["memory", "spool"])
async def ingress(request: pytest.FixtureRequest) -> AsyncIterator[Ingress]:
    """Run an ingress twice: in the second one every message goes to the spool."""
    async with running_ingress(None, spool_above=request.param) as running:
        yield running
        space = running.reception.space
        assert space.memory.take(10_000_000), "all was given back"
        assert space.disk.take(10_000_000), "all was given back"


async def sent(ingress: Ingress, opening: str, chunks: list[bytes]) -> list[bytes]:
    """Send ``chunks`` in one go; return the replies to them."""
    reader, writer = await ingress.connect()
    await play(opening, reader, writer)
    for n, chunk in enumerate(chunks, 1):
        last = b" LAST" if n == len(chunks) else b""
        writer.write(b"BDAT %d%s\r\n%s" % (len(chunk), last, chunk))
    writer.write(b"QUIT\r\n")
    *replies, bye = (await reader.read()).splitlines(keepends=True)
    writer.close()
    assert bye == b"221 2.0.0 Bye\r\n"
    return replies


def kept(ingress: Ingress) -> bytes:
    """Return the only message without the fields that we put on top."""
    return ingress.cellar.octets.partition(f"Results: {HOSTNAME}; none\r\n".encode())[2]


@pytest.mark.parametrize("size", [1, 7, 1009, 1_000_000])
async def test_a_message_in_chunks_is_kept_as_it_was(ingress: Ingress, size: int) -> None:
    message = b"Subject: x\r\n\r\n" + b".\r\n..\r\nline\r\n" * 20 + (b"y" * 70 + b"\r\n") * 100
    if size == 1:
        message = message[:300] + b"\r\n"
    chunks = [message[at : at + size] for at in range(0, len(message), size)]

    replies = await sent(ingress, TO_CHUNKS, [*chunks, b""])

    assert [reply[:3] for reply in replies] == [b"250"] * (len(chunks) + 1)
    assert replies[-1].startswith(b"250 2.0.0 Ok: queued as ")
    assert kept(ingress) == message
    [mail] = ingress.cellar.mails
    assert mail.size == len(ingress.cellar.octets)


async def test_a_message_that_ends_within_a_line_gets_its_end(ingress: Ingress) -> None:
    await sent(ingress, TO_CHUNKS, [b"Subject: x\r\n\r\nno", b" end"])

    assert kept(ingress) == b"Subject: x\r\n\r\nno end\r\n"


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"a\nb"], [b"550 5.6.11"]),
        ([b"a\r", b"b"], [b"250", b"550 5.6.11"]),
        ([b"a\r"], [b"550 5.6.11"]),
        ([b"a\0"], [b"550 5.6.0"]),
        ([b"x\r\n" * 300_000, b"x\r\n" * 40_000, b"x"], [b"250", b"552 5.3.4", b"503 5.5.1"]),
    ],
)
async def test_what_cannot_be_taken_is_refused_and_the_session_goes_on(
    ingress: Ingress, chunks: list[bytes], expected: list[bytes]
) -> None:
    replies = await sent(ingress, TO_CHUNKS, chunks)

    assert len(replies) == len(expected)
    assert all(map(bytes.startswith, replies, expected))
    assert not ingress.cellar.objects


async def test_a_refused_chunk_is_read_so_far_and_no_further(ingress: Ingress) -> None:
    reader, writer = await ingress.connect()
    await play(TO_CHUNKS, reader, writer)
    writer.write(b"BDAT %d\r\n" % 10**19)

    async def flood() -> None:
        while True:
            writer.write(b"x" * 998 + b"\r\n")
            await writer.drain()

    flooding = asyncio.create_task(flood())
    assert (await reader.readline()).startswith(b"552 5.3.4 ")
    with pytest.raises(ConnectionError):
        await flooding
    writer.close()
    assert DRAIN_OCTETS < 10**19


async def test_a_binary_message_is_kept_in_base64_octet_for_octet(ingress: Ingress) -> None:
    octets = secrets.token_bytes(300_000) + b"\r\n.\r\nQUIT\r\n\0"
    head = b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"

    replies = await sent(ingress, TO_BINARY, [head + octets[:1000], octets[1000:]])

    assert replies[-1].startswith(b"250 2.0.0 Ok: queued as ")
    stored = ingress.cellar.octets
    message = email.message_from_bytes(stored)
    assert message["content-transfer-encoding"] == "base64"
    assert message.get_payload(decode=True) == octets
    [mail] = ingress.cellar.mails
    assert mail.body == "7BIT"
    assert mail.size == len(stored)
    assert mail.envelope.summary == scan(stored)


async def test_a_binary_message_may_be_as_large_as_any(ingress: Ingress) -> None:
    head = b"Content-Transfer-Encoding: binary\r\n\r\n"

    replies = await sent(ingress, TO_BINARY, [head + bytes(1_000_000 - len(head))])
    assert replies[0].startswith(b"250 2.0.0 Ok: queued as ")
    replies = await sent(ingress, TO_BINARY, [head + bytes(1_000_001 - len(head))])
    assert replies[0].startswith(b"552 5.3.4 ")


async def test_a_client_that_leaves_between_chunks_leaves_nothing(ingress: Ingress) -> None:
    reader, writer = await ingress.connect()
    opening = TO_CHUNKS
    await play(opening + "C: BDAT 3\nC! abc\nS: 250 …", reader, writer)
    writer.close()
    await ingress.listeners.drain(timedelta(seconds=5))

    assert not ingress.cellar.objects


async def test_many_small_chunks_are_no_fruitless_talk(ingress: Ingress) -> None:
    replies = await sent(ingress, TO_CHUNKS, [b"x"] * 1000)
    assert replies[-1].startswith(b"250 2.0.0 Ok: queued as ")


async def test_empty_chunks_are_fruitless_talk(ingress: Ingress) -> None:
    reader, writer = await ingress.connect()
    await play(TO_CHUNKS, reader, writer)
    writer.write(b"BDAT 0\r\n" * 1000)

    replies = (await reader.read()).splitlines()
    writer.close()

    assert len(replies) < 310
    assert replies[-1].startswith(b"421 4.7.0 ")


async def test_many_small_chunks_go_to_the_spool_as_a_large_one_does() -> None:
    message = b"Subject: x\r\n\r\n" + b"line of a chunk\r\n" * 50_000
    chunks = [message[at : at + 8192] for at in range(0, len(message), 8192)]
    async with running_ingress(None, reception_octets=200_000, spool_above=65_536) as ingress:
        replies = await sent(ingress, TO_CHUNKS, [*chunks, b""])

        assert replies[-1].startswith(b"250 2.0.0 Ok: queued as ")
        assert kept(ingress) == message


async def test_a_binary_message_that_cannot_be_spooled_is_not_accepted_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(_: SpoolFile, __: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    head = b"Content-Transfer-Encoding: binary\r\n\r\n"
    async with running_ingress(None, spool_above=65_536) as ingress:
        reader, writer = await ingress.connect()
        await play(TO_BINARY, reader, writer)
        writer.write(b"BDAT 70000\r\n" + head + bytes(70_000 - len(head)))
        assert (await reader.readline()).startswith(b"250 ")
        monkeypatch.setattr(SpoolFile, "append", fail)
        writer.write(b"BDAT 1 LAST\r\nx")

        assert (await reader.readline()).startswith(b"451 4.3.0 ")
        writer.close()
        assert not ingress.cellar.mails


@pytest.mark.parametrize("parts", [(b"BDAT 2\r\nx", b"y"), (b"BDAT 1\r\nx",)])
async def test_a_client_that_drips_chunks_for_ever_is_sent_away(parts: tuple[bytes, ...]) -> None:
    patience = Patience(silence=timedelta(seconds=20), message=timedelta(seconds=0.3))
    async with running_ingress(None, limits=replace(LIMITS, patience=patience)) as ingress:
        reader, writer = await ingress.connect()
        await play(TO_CHUNKS, reader, writer)

        async def drip() -> None:
            while True:
                for part in parts:
                    writer.write(part)
                    await asyncio.sleep(0.02)

        dripping = asyncio.ensure_future(drip())
        async with asyncio.timeout(10):
            while not (reply := await reader.readline()).startswith(b"421 4.4.2 "):
                assert reply.startswith(b"250 2.0.0 ")
        dripping.cancel()
        writer.close()


@pytest.mark.parametrize("command", [b"DATA\r\n", b"BDAT 400000 LAST\r\n"])
async def test_after_a_bug_within_a_message_its_rest_is_no_command(
    monkeypatch: pytest.MonkeyPatch, command: bytes
) -> None:
    async def fail(_: Letterhead, __: bytes) -> bytes:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(Letterhead, "over", fail)
    async with running_ingress(None, spool_above=100_000) as ingress:
        reader, writer = await ingress.connect()
        await play(TO_CHUNKS, reader, writer)
        writer.write(command)
        writer.write(b"Subject: x\r\n\r\n" + b"NOOP\r\n" * 60_000)

        said = await reader.read()
        writer.close()

    assert said.removeprefix(b"354 End data with <CR><LF>.<CR><LF>\r\n").startswith(b"451 4.3.0 ")
    assert said.count(b"\r\n") <= 2
