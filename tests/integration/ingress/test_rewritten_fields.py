"""Fields of mail of this house are rewritten by maps before it is signed; strangers' stay as they are."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from posthouse.authenticity.dkim import digest_bodies, signatures_in, verify
from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.dkim.making import make_pem, record_of
from posthouse.mail.header import header_end
from posthouse.mail.ids import object_key
from posthouse.mail.maps import entry_of
from posthouse.runtime.dkim_keys import Vault
from posthouse.storage.dkim_keys import activate, add_dkim_key
from posthouse.storage.keyring import shared_secret
from posthouse.storage.maps import set_entries
from posthouse.storage.pool import Pool, transaction
from posthouse.storage.trace import find
from support.dialogue import play
from support.names import FakeNames
from support.place import Place

pytestmark = pytest.mark.integration

LETTER = b"From: Anna <anna@inner.test>\r\nTo: b@far.test\r\nSubject: anna@inner.test\r\n\r\n"


async def stored(here: Place, pool: Pool, octets: bytes) -> tuple[bytes, bytes]:
    """Send a message; return its header and body as they were stored."""
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    await play(
        "S: 220 …\nC: EHLO mx.far.test\nS* 250 …\nC: MAIL FROM:<>\nS: 250 …\n"
        "C: RCPT TO:<anna@example.test>\nS: 250 …\nC: DATA\nS: 354 …",
        reader,
        writer,
    )
    writer.write(octets + b".\r\n")
    assert (await reader.readline()).startswith(b"250 ")
    writer.close()
    newest = max(await find(pool), key=lambda each: each.id)
    found = (here.store / object_key(newest.id)).read_bytes()
    return found[: header_end(found)], found[header_end(found) :]


@pytest.mark.parametrize("body", [b"hi\r\n", b"line\r\n" * 100_000], ids=["small", "spooled"])
async def test_fields_are_rewritten_and_signed_as_they_are_stored(
    place: Place, pool: Pool, body: bytes
) -> None:
    pem = make_pem("ed25519")
    vault = Vault(await shared_secret(pool, "dkim keys"))
    await add_dkim_key(
        pool, vault.seal("example.test", "ed25519", pem), record_of(pem), rotates=False
    )
    async with transaction(pool) as tx:
        await activate(tx, "example.test", "ed25519")
    await set_entries(pool, [entry_of("sender-canonical", "@inner.test", ["@example.test"])])
    env = {"POSTHOUSE_RELAY_NETWORKS": "127.0.0.0/8", "POSTHOUSE_AUTHENTICATION": "off"}
    here = replace(place, env=place.env | env)

    async with here.running("policy_engine"), here.running("ingress_smtp"):
        header, got = await stored(here, pool, LETTER + body)

    assert (
        b"\r\nFrom: Anna <anna@example.test>\r\nTo: b@far.test\r\nSubject: anna@inner.test\r\n"
        in header
    )
    assert got == body
    read = Header(header)
    names = FakeNames({"ed25519._domainkey.example.test": {"TXT": [record_of(pem)]}})
    found = await verify(names, read, signatures_in(read), digest_bodies([got], {"simple"}))
    assert [(each.domain, each.result) for each in found] == [("example.test", "pass")]


async def test_what_strangers_write_stays_as_it_is(place: Place, pool: Pool) -> None:
    await set_entries(pool, [entry_of("canonical", "@inner.test", ["@example.test"])])

    async with place.running("policy_engine"), place.running("ingress_smtp"):
        header, _ = await stored(place, pool, LETTER + b"hi\r\n")

    assert LETTER[:-2] in header
