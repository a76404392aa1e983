"""Debian's Postfix, Exim and OpenSMTPD as next hops: what they pass on is what we were given."""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from onemachine.certificates import certificates
from posthouse.bus.moves import Ack
from support.letters import cpython_letters, on_the_wire
from support.peers import PEERS, Place, peer
from support.remote import Station
from support.roads import until
from support.scripted_smtp import POLITE, Peer, scripted

NO_TLS = "opensmtpd"  # Debian's offers STARTTLS and fails each handshake: so mail goes without

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

_HEADER = re.compile(rb"([!-9;-~]+:.*\r\n([ \t].*\r\n)*)+\r\n")
# What servers mend or remove by their nature: addresses without a domain, the field of delivery.
_TO_BE_MENDED = re.compile(rb"^((From|To|Cc|Sender):[^@]*$|Return-Path:)", re.MULTILINE)
_LETTER = re.compile(rb"^X-Letter: (\d+)\r\n", re.MULTILINE)
_ROOMY = {**POLITE, "EHLO": "250-sink.test\n250-PIPELINING\n250-SIZE 20000000\n250 8BITMIME"}


def _corpus() -> list[bytes]:
    """Return messages with headers that nobody needs to mend, and bodies of every shape."""
    letters = [on_the_wire(path.read_bytes()) for path in cpython_letters()]
    every = b"".join(bytes([n]) * 3 + b"\r\n" for n in range(1, 256) if n not in (10, 13))
    made = [
        every,
        b"",
        b"\r\n\r\n\r\n",
        b".\r\n..\r\n...\r\n.dot\r\n",
        b"no end of line for long " + b"x" * 900 + b"\r\n",
        b"trailing space \r\n\t\r\n \r\n",
        "Gr\u00fc\u00dfe aus M\u00fcnchen\r\n".encode() * 20_000,
    ]
    made = [b"From: anna@a.test\r\nSubject: made\r\n\r\n" + body for body in made]
    kept = [one for one in letters if _is_sound(one)]
    return kept + made


def _is_sound(octets: bytes) -> bool:
    header = _HEADER.match(octets)
    return header is not None and not _TO_BE_MENDED.search(header[0])


def _top(number: int) -> bytes:
    """Return the fields that ingress puts on top; the second tells which letter it is."""
    return (
        b"Received: from a.test by mail.example.test; Sun, 22 Nov 2026 09:00:00 +0000\r\n"
        b"X-Letter: %d\r\n" % number
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that servers can enter which give up root's rights."""
    with tempfile.TemporaryDirectory(prefix="posthouse-peer-") as name:
        home = Path(name)
        home.chmod(0o755)
        yield home


@asynccontextmanager
async def _next_hop(name: str, station: Station, folder: Path) -> AsyncIterator[Peer]:
    """Put the peer ``name`` between b.test and a server that keeps what it gets."""
    home = folder / name
    home.mkdir()
    async with scripted(_ROOMY) as sink:
        place = Place(
            home=home,
            address="127.0.0.77",
            port=station.port,
            onward=(sink.host, sink.port),
            certificates=certificates(folder / "tls", ("peer.test",)),
        )
        station.domain("b.test", place.address)
        async with peer(name, place):
            yield sink


@pytest.mark.parametrize("name", PEERS)
async def test_what_a_real_server_passes_on_is_what_we_were_given(
    name: str, station: Station, folder: Path
) -> None:
    corpus = [_top(n) + octets for n, octets in enumerate(_corpus())]
    assert len(corpus) > 30

    async with _next_hop(name, station, folder) as sink:
        envelopes = [
            msgspec.structs.replace(
                await station.accept(f"bert{n}@b.test", octets=octets), body="8BITMIME"
            )
            for n, octets in enumerate(corpus)
        ]
        for envelope in envelopes:
            assert await station.delivery.deliver(envelope) == Ack()
        await until(lambda: len(sink.accepted) >= len(corpus), "everything was passed on")

    arrived: dict[int, bytes] = {}
    for octets in sink.accepted:
        found = _LETTER.search(octets)
        assert found
        arrived[int(found[1])] = octets.replace(b"\r\n.", b"\r\n")
    assert len(sink.accepted) == len(arrived) == len(corpus)
    for n, octets in enumerate(corpus):
        added, _, below = arrived[n].partition(_top(n))
        assert _top(n) + below == octets
        assert (b"with esmtps" in added.lower()) is (name != NO_TLS)  # RFC 3848
