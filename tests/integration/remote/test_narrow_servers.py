"""8-bit mail for a real server that does not offer 8BITMIME: postfix's smtp-sink with -8."""

from __future__ import annotations

import email
import tempfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from uuid import UUID

import pytest

from posthouse.bus.moves import Ack
from support.outside_world import Sink
from support.remote import Station
from support.remote_service import come_true

pytestmark = pytest.mark.integration

LETTER = (
    "From: anna@example.test\r\nSubject: Grüße\r\nMIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    ".Grüße aus München, wie immer am Anfang mit einem Punkt \r\n.\r\n..\r\n\r\n"
    "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: within\r\n\r\n{many}\r\n--b--\r\n"
)
SIGNED = "Subject: x\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nü\r\n--b--\r\n"


@pytest.fixture
def sink(station: Station) -> Iterator[Sink]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        running = Sink("127.0.0.88", station.port, Path(folder, "letters"))
        running.start("-8")
        station.domain("b.test", running.address)
        try:
            yield running
        finally:
            running.stop()


def contents(message: Message) -> list[bytes]:
    """Return what readers find in all parts; smtp-sink writes lines as Unix has them."""
    leaves = (part for part in message.walk() if not part.is_multipart())
    found = (part.get_payload(decode=True) for part in leaves)
    return [each.replace(b"\r\n", b"\n") for each in found if isinstance(each, bytes)]


@pytest.mark.parametrize("lines", [1, 40_000])
async def test_it_gets_seven_bits_and_its_readers_the_same(
    station: Station, sink: Sink, lines: int
) -> None:
    octets = LETTER.replace("{many}", "Ein Satz mit Umlauten: äöü und ß\r\n" * lines).encode()

    assert (
        await station.delivery.deliver(await station.accept("bert@b.test", octets=octets)) == Ack()
    )

    [letter] = sink.await_letters()
    before, after = contents(email.message_from_bytes(octets)), contents(letter)
    assert after == before
    assert all(part["content-transfer-encoding"] != "8bit" for part in letter.walk())
    assert letter.as_bytes().partition(b"\n\n")[2].isascii()


@pytest.mark.usefixtures("sink")
async def test_the_trace_tells_that_it_was_converted(station: Station) -> None:
    plain = await station.accept("anna@b.test")
    wide = await station.accept("bert@b.test", octets=LETTER.encode())
    for envelope in (plain, wide):
        assert await station.delivery.deliver(envelope) == Ack()

    details: dict[UUID, str] = {}

    async def are_noted() -> bool:
        rows = await station.pool.fetch(
            "select envelope, detail from events where what = 'relayed'"
        )
        details.update({row["envelope"]: row["detail"] for row in rows})
        return len(details) == 2

    await come_true(are_noted, within=10.0)
    assert "converted to 7 bits)" in details[wide.id]
    assert "converted" not in details[plain.id]


async def test_what_is_signed_is_returned_untouched(station: Station, sink: Sink) -> None:
    envelope = await station.accept("bert@b.test", octets=SIGNED.encode())

    assert await station.delivery.deliver(envelope) == Ack()

    assert await station.states(envelope.id) == {0: "bounced"}
    [report] = await station.reports_on(envelope.id)
    assert "5.6.3" in report.as_string()
    assert sink.letters() == []
