"""Signed mail stays valid on its way, by DATA and in chunks; dkimpy verifies (RFC 6376)."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import prometheus_client
import pytest

from delivery_remote.session.manners import Patience, Rules
from delivery_remote.transparency import without_return_path
from onemachine.certificates import certificates
from posthouse.bus.moves import Ack
from posthouse.storage.pool import Pool
from support.outside import manners
from support.peers import Place, peer
from support.remote import Station, open_station
from support.roads import until
from support.scripted_smtp import POLITE, Peer, scripted
from support.signatures import is_valid, signed, signed_letters

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

ROOMY = "250-peer.test\n250-PIPELINING\n250-SIZE 9000000\n250 8BITMIME"
WAYS: Mapping[str, str] = {"DATA": ROOMY, "BDAT": ROOMY.replace("250 ", "250-CHUNKING\n250 ")}
CHUNKED = replace(manners(Patience()), rules=Rules(chunked_from=0))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that servers can enter which give up root's rights."""
    with tempfile.TemporaryDirectory(prefix="posthouse-signed-") as name:
        home = Path(name)
        home.chmod(0o755)
        yield home


@pytest.mark.parametrize("way", WAYS)
async def test_each_signature_is_valid_at_the_other_end(
    way: str, pool: Pool, tmp_path: Path
) -> None:
    corpus = signed_letters()
    assert len(corpus) > 60
    assert all(map(is_valid, corpus))

    async with open_station(pool, tmp_path, behaviour=CHUNKED) as station:
        server = await station.server({**POLITE, "EHLO": WAYS[way]})
        station.domain("b.test", server.host)
        await _deliver(station, corpus)

    arrived = [_read(octets) if way == "DATA" else octets for octets in server.accepted]
    whole = [each if each.endswith(b"\r\n") else each + b"\r\n" for each in corpus]
    assert arrived == [without_return_path(each) for each in whole]
    assert all(map(is_valid, arrived))
    assert _commands(server) == {way}


@pytest.mark.parametrize("name", ["postfix", "exim"])
async def test_signatures_are_valid_behind_a_real_server_that_takes_chunks(
    name: str, pool: Pool, tmp_path: Path, folder: Path
) -> None:
    corpus = [each for each in signed_letters() if b"\r\nSubject: made\r\n" in each]
    home = folder / name
    home.mkdir()
    before = _chunked()

    async with (
        open_station(pool, tmp_path, behaviour=CHUNKED) as station,
        scripted(EHLO=ROOMY) as sink,
    ):
        place = Place(
            home=home,
            address="127.0.0.78",
            port=station.port,
            onward=(sink.host, sink.port),
            certificates=certificates(folder / "tls", ("peer.test",)),
        )
        station.domain("b.test", place.address)
        async with peer(name, place):
            await _deliver(station, corpus)
            await until(lambda: len(sink.accepted) >= len(corpus), "everything was passed on")

    assert _chunked() - before == len(sink.accepted) == len(corpus)
    assert all(is_valid(_read(octets)) for octets in sink.accepted)


def test_the_verifier_sees_what_was_changed() -> None:
    octets = signed(b"From: anna@a.test\r\nSubject: made\r\n\r\nHello.\r\n.\r\n", b"simple")

    assert is_valid(octets)
    assert not is_valid(octets.replace(b"\r\n.\r\n", b"\r\n..\r\n"))
    assert not is_valid(octets + b"more\r\n")


async def _deliver(station: Station, corpus: list[bytes]) -> None:
    for octets in corpus:
        envelope = await station.accept("bert@b.test", octets=octets)
        assert await station.delivery.deliver(envelope) == Ack()


def _chunked() -> float:
    """Return how many messages this process has sent in chunks."""
    name, labels = "posthouse_remote_contents_total", {"command": "bdat"}
    return prometheus_client.REGISTRY.get_sample_value(name, labels) or 0.0


def _commands(server: Peer) -> set[str]:
    return {each.partition(" ")[0] for each in server.commands} & {"DATA", "BDAT"}


def _read(octets: bytes) -> bytes:
    """Return what a server keeps of what came on the wire after DATA (RFC 5321 §4.5.2)."""
    return re.sub(rb"(?m)^\.", b"", octets)
