"""Bounces that Postfix, Exim and OpenSMTPD write themselves: they find back and are understood."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from onemachine.certificates import certificates
from posthouse.bus.moves import Ack
from posthouse.mail.address import parse_address
from posthouse.mail.return_path import Returned
from posthouse.mime.returned import read_returned
from posthouse.storage import directory
from posthouse.storage.directory.senders import Sender, set_sender
from support.peers import PEERS, Place, peer
from support.remote import RETURN_PATHS, Station
from support.roads import until
from support.scripted_smtp import scripted

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

LETTER = (
    b"From: anna@example.test\r\nTo: bert@b.test\r\nSubject: hello\r\n"
    b"Message-ID: <hello-1@example.test>\r\n\r\nHello.\r\n"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that servers can enter which give up root's rights."""
    with tempfile.TemporaryDirectory(prefix="posthouse-peer-") as name:
        home = Path(name)
        home.chmod(0o755)
        yield home


@pytest.mark.parametrize("name", sorted(PEERS))
async def test_a_real_bounce_comes_to_the_return_path_and_says_what_happened(
    station: Station, folder: Path, name: str
) -> None:
    await directory.add_domain(station.pool, "example.test")
    await set_sender(station.pool, "example.test", Sender(return_path="verp"))
    home = folder / name
    home.mkdir()
    async with scripted(RCPT=["550 5.1.1 no such user here", "250 2.1.5 ok"]) as sink:
        place = Place(
            home=home,
            address="127.0.0.77",
            port=station.port,
            onward=(sink.host, sink.port),
            certificates=certificates(folder / "tls", ("peer.test",)),
        )
        station.domain("b.test", place.address)
        async with peer(name, place):
            envelope = await station.accept("bert@b.test", octets=LETTER)
            assert await station.delivery.deliver(envelope) == Ack()
            await until(lambda: any(sink.accepted), "the bounce came")

    (bounce,) = filter(None, sink.accepted)
    to = [line for line in sink.commands if line.upper().startswith("RCPT TO:")][-1]
    path = to.partition("<")[2].partition(">")[0]
    today = datetime.now(UTC).date()
    assert RETURN_PATHS.read(parse_address(path), today) == Returned(
        owner="anna@example.test", id=envelope.id, recipient="bert@b.test"
    )
    found = read_returned(bounce)
    (told,) = found.recipients
    assert found.kind == "bounce"
    assert found.message_id == "<hello-1@example.test>"
    assert told.address == "bert@b.test"
    assert (told.action, told.status, told.is_hard) == ("failed", "5.1.1", True)
    assert "no such user here" in told.said
