"""Signed mail stays valid on its way, by DATA and in chunks; dkimpy signs and verifies (RFC 6376)."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from delivery_remote.octets import PIECE_OCTETS
from delivery_remote.session.manners import Patience, Rules
from delivery_remote.transparency import without_return_path
from posthouse.bus.moves import Ack
from posthouse.storage.pool import Pool
from support.letters import cpython_letters, on_the_wire
from support.outside import manners
from support.remote import open_station
from support.scripted_smtp import POLITE

pytestmark = pytest.mark.integration

ROOMY = "250-peer.test\n250-PIPELINING\n250-SIZE 9000000\n250 8BITMIME"
MADE = (
    b"",
    b"\r\n\r\n\r\n",
    b".\r\n..\r\n...\r\n.dot\r\nno.dot\r\n",
    b"no end of line",
    b"a dot at the end\r\n.",
    b"x" * 998 + b"\r\n",
    b"x" * 20_000 + b"\r\n.\r\n",
    b"trailing space \r\n\t\r\n \r\n\r\n",
    "Grüße aus München\r\n".encode() * 100,
    bytes(n for n in range(1, 256) if n not in (10, 13)) + b"\r\n",
    b"." * (PIECE_OCTETS - 100) + b"\r\n.\r\n" * 200,
    b"\r\n." * (PIECE_OCTETS // 2),
)


@cache
def _key() -> tuple[bytes, bytes]:
    """Return a private key in PEM, and the TXT record of its public half."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem, b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


def _record(_name: bytes, timeout: int = 5) -> bytes:  # noqa: ARG001 - the verifier names it
    return _key()[1]


def _signed(octets: bytes, form: bytes) -> bytes:
    """Return ``octets`` with a signature on top; ``form`` is the canonicalization of both parts."""
    return bytes(dkim.sign(octets, b"s", b"a.test", _key()[0], canonicalize=(form, form))) + octets


def _corpus() -> list[bytes]:
    letters = [on_the_wire(path.read_bytes()) for path in cpython_letters()]
    made = [b"From: anna@a.test\r\nSubject: made\r\n\r\n" + body for body in MADE]
    whole = [*filter(_can_be_signed, letters), *made]
    return [_signed(octets, form) for octets in whole for form in (b"simple", b"relaxed")]


def _can_be_signed(octets: bytes) -> bool:
    """True if it has an author, and a header that is one: not all letters of CPython's do."""
    try:
        fields, _ = dkim.rfc822_parse(octets)
    except dkim.MessageFormatError:
        return False
    return any(name.lower() == b"from" for name, _ in fields)


WAYS: Mapping[str, str] = {"DATA": ROOMY, "BDAT": ROOMY.replace("250 ", "250-CHUNKING\n250 ")}


@pytest.mark.parametrize("way", WAYS)
async def test_each_signature_is_valid_at_the_other_end(
    way: str, pool: Pool, tmp_path: Path
) -> None:
    corpus = _corpus()
    assert len(corpus) > 80
    assert all(dkim.verify(each, dnsfunc=_record) for each in corpus)
    behaviour = replace(manners(Patience()), rules=Rules(chunked_from=0))

    async with open_station(pool, tmp_path, behaviour=behaviour) as station:
        peer = await station.server({**POLITE, "EHLO": WAYS[way]})
        station.domain("b.test", peer.host)
        for octets in corpus:
            envelope = await station.accept("bert@b.test", octets=octets)
            assert await station.delivery.deliver(envelope) == Ack()

    arrived = [_read(octets, way) for octets in peer.accepted]
    whole = [each if each.endswith(b"\r\n") else each + b"\r\n" for each in corpus]
    assert arrived == [without_return_path(each) for each in whole]
    assert all(dkim.verify(each, dnsfunc=_record) for each in arrived)
    assert {each.partition(" ")[0] for each in peer.commands} & {"DATA", "BDAT"} == {way}


def test_the_verifier_sees_what_was_changed() -> None:
    octets = _signed(b"From: anna@a.test\r\nSubject: made\r\n\r\nHello.\r\n.\r\n", b"simple")

    assert dkim.verify(octets, dnsfunc=_record)
    assert not dkim.verify(octets.replace(b"\r\n.\r\n", b"\r\n..\r\n"), dnsfunc=_record)
    assert not dkim.verify(octets + b"more\r\n", dnsfunc=_record)


def _read(octets: bytes, way: str) -> bytes:
    """Return what a server keeps of what came on the wire (RFC 5321 §4.5.2)."""
    return re.sub(rb"(?m)^\.", b"", octets) if way == "DATA" else octets
