"""Mail of this house leaves signed, strangers' mail that leaves again sealed; with processes and DNS."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from posthouse.authenticity.arc import Arc, read_chain, seal, validate
from posthouse.authenticity.dkim import Signer, digest_bodies, signatures_in, verify
from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.dkim.making import Algorithm, make_pem, record_of
from posthouse.mail.header import header_end
from posthouse.mail.ids import object_key
from posthouse.runtime.dkim_keys import Vault
from posthouse.storage import directory
from posthouse.storage.dkim_keys import activate, add_dkim_key
from posthouse.storage.keyring import shared_secret
from posthouse.storage.pool import Pool, transaction
from posthouse.storage.trace import find
from support.dialogue import play
from support.dns_zone import serve_zone
from support.names import FakeNames
from support.place import Place

pytestmark = pytest.mark.integration

BODY = b"".join(b"line %065d\r\n" % n for n in range(8_000))  # 560 KiB: it lies in the spool


async def key_of(pool: Pool, domain: str, algorithm: Algorithm) -> tuple[str, str]:
    """Let ``domain`` sign; return where the key is published, and what."""
    pem = make_pem(algorithm)
    vault = Vault(await shared_secret(pool, "dkim keys"))
    await add_dkim_key(pool, vault.seal(domain, algorithm, pem), record_of(pem), rotates=False)
    async with transaction(pool) as tx:
        await activate(tx, domain, algorithm)
    return f"{algorithm}._domainkey.{domain}", record_of(pem)


async def sent(port: int, sender: str, to: str, octets: bytes) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await play(
            f"S: 220 …\nC: EHLO mx.far.test\nS* 250 …\nC: MAIL FROM:<{sender}>\nS: 250 …\n"
            f"C: RCPT TO:<{to}>\nS: 250 …\nC: DATA\nS: 354 …",
            reader,
            writer,
        )
        writer.write(octets + b".\r\n")
        await writer.drain()
        return (await reader.readline()).decode()
    finally:
        writer.close()


async def stored(place: Place, pool: Pool) -> tuple[bytes, bytes]:
    """Return header and body of the newest message."""
    found = await find(pool)
    newest = max(found, key=lambda each: each.id)
    octets = (place.store / object_key(newest.id)).read_bytes()
    start = header_end(octets)
    return octets[:start], octets[start:]


@pytest.mark.parametrize("body", [b"Hi  there \r\n\r\n", BODY], ids=["small", "spooled"])
async def test_mail_of_a_network_that_relays_is_signed_by_its_author_s_domain(
    place: Place, pool: Pool, body: bytes
) -> None:
    zone = dict([await key_of(pool, "example.test", kind) for kind in ("ed25519", "rsa")])
    env = {"POSTHOUSE_RELAY_NETWORKS": "127.0.0.0/8", "POSTHOUSE_AUTHENTICATION": "off"}
    here = replace(place, env=place.env | env)
    async with here.running("policy_engine"), here.running("ingress_smtp"):
        letter = b"From: <anna@news.example.test>\r\nSubject: hello\r\n\r\n" + body
        assert (await sent(here.port, "anna@example.test", "b@far.test", letter)).startswith("250 ")
        header, got = await stored(place, pool)
        stranger = b"From: <anna@else.test>\r\n\r\nhi\r\n"
        assert (await sent(here.port, "", "b@far.test", stranger)).startswith("250 ")
        unsigned, _ = await stored(place, pool)

    names = FakeNames({name: {"TXT": [text]} for name, text in zone.items()})
    read = Header(header)
    found = await verify(names, read, signatures_in(read), digest_bodies([got], {"simple"}))
    assert [(each.algorithm, each.domain, each.result) for each in found] == [
        ("ed25519-sha256", "example.test", "pass"),
        ("rsa-sha256", "example.test", "pass"),
    ]
    assert got == body
    assert b"DKIM-Signature" not in unsigned


def sealed_by_far(letter: bytes) -> bytes:
    """Return ``letter`` as a list of far.test passes it on."""
    start = header_end(letter)
    header, digest = Header(letter[:start]), digest_bodies([letter[start:]], {"simple"})["simple"]
    signer = Signer(domain="far.test", selector="s", key=make_pem("rsa"))
    found = (read_chain(header), Arc(result="none"))
    return seal(header, digest, signer, found, "far.test; none", datetime.now(UTC)) + letter


async def test_what_leaves_again_is_sealed_and_what_stays_is_not(place: Place, pool: Pool) -> None:
    name, record = await key_of(pool, "example.test", "rsa")
    await directory.set_alias(pool, "away@example.test", ["far@else.test"])
    letter = b"From: <eve@far.test>\r\nSubject: hello\r\n\r\nhi\r\n"
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        zone = await enter(serve_zone({"s._domainkey.far.test": ["SERVFAIL"]}))
        env = {
            "POSTHOUSE_ARC_SEAL_DOMAIN": "example.test",
            "POSTHOUSE_NAMESERVERS": zone.nameservers,
            "POSTHOUSE_AUTHENTICATION": "on",
        }
        here = replace(place, env=place.env | env)
        await enter(here.running("policy_engine"))
        await enter(here.running("ingress_smtp"))
        assert (await sent(here.port, "", "anna@example.test", letter)).startswith("250 ")
        stays, _ = await stored(place, pool)
        assert (await sent(here.port, "", "away@example.test", letter)).startswith("250 ")
        leaves, body = await stored(place, pool)
        sealed = sealed_by_far(letter)  # nobody can tell its key now: cv=fail would be for good
        assert (await sent(here.port, "", "away@example.test", sealed)).startswith("250 ")
        unknown, _ = await stored(place, pool)

    assert b"ARC-" not in stays
    assert (unknown.count(b"ARC-Seal:"), unknown.count(b"arc=fail")) == (1, 1)
    assert b"DKIM-Signature" not in leaves
    read = Header(leaves)
    names = FakeNames({name: {"TXT": [record]}})
    arc = await validate(names, read, read_chain(read), digest_bodies([body], {"simple"}))
    assert (arc.result, arc.domains) == ("pass", ("example.test",))
    assert b"mx.example.test;" in arc.results[0]
