"""ARC: chains of our own, and dkimpy's, each read by the other."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from posthouse.authenticity.arc import Arc, Chain, doubtful, read_chain, seal, validate
from posthouse.authenticity.arc.vouching import waits_for
from posthouse.authenticity.dkim import Signer, digest_bodies
from posthouse.authenticity.dkim.headers import Header
from posthouse.mail.header import header_end
from support.names import FakeNames

DATA = Path(__file__).parents[2] / "golden" / "dkim"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LETTER = (DATA / "rfc6376.msg").read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PKCS1 = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
PUBLIC = dkim.base64.b64encode(
    KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
RECORD = f"v=DKIM1; k=rsa; p={PUBLIC}"
SIGNER = Signer(domain="relay.test", selector="arc", key=PEM)


def _names() -> FakeNames:
    return FakeNames({"arc._domainkey.relay.test": {"TXT": [RECORD]}})


async def _found(octets: bytes, names: FakeNames | None = None) -> tuple[Chain, Arc]:
    end = header_end(octets)
    header = Header(octets[:end])
    chain = read_chain(header)
    digests = digest_bodies([octets[end:]], {each.message.body_canon for each in chain.sets})
    return chain, await validate(names or _names(), header, chain, digests)


async def _sealed(octets: bytes) -> bytes:
    end = header_end(octets)
    digest = digest_bodies([octets[end:]], ["simple"])["simple"]
    found = await _found(octets)
    return seal(Header(octets[:end]), digest, SIGNER, found, "relay.test; spf=pass", NOW) + octets


def _dns(name: bytes, **_: object) -> bytes:
    assert name == b"arc._domainkey.relay.test."
    return RECORD.encode()


def _by_dkimpy(octets: bytes) -> bytes:
    with_results = b"Authentication-Results: relay.test; spf=pass smtp.mfrom=a.test\r\n" + octets
    fields = dkim.arc_sign(
        with_results, b"arc", b"relay.test", PKCS1, b"relay.test", timestamp=str(int(NOW.timestamp())),
    )  # fmt: skip
    assert fields
    return b"".join(fields) + with_results


async def test_a_message_without_sets_has_no_chain() -> None:
    assert await _found(LETTER) == (Chain(), Arc(result="none"))


async def test_chains_grow_and_are_read_by_dkimpy() -> None:
    octets, arc = LETTER, Arc(result="none")
    for n in range(1, 4):
        octets = await _sealed(octets)

        chain, arc = await _found(octets)
        assert (arc.result, len(chain.sets), arc.oldest_pass) == ("pass", n, 0), arc
        assert dkim.arc_verify(octets, dnsfunc=_dns)[0] == b"pass"
    assert arc.domains == ("relay.test",) * 3
    assert b"spf=pass" in arc.results[0]


async def test_chains_of_dkimpy_are_read_and_continued() -> None:
    octets = _by_dkimpy(LETTER)

    assert (await _found(octets))[1].result == "pass"
    assert (await _found(await _sealed(octets)))[1].result == "pass"


async def test_a_list_that_changes_the_message_and_seals_it_is_told() -> None:
    octets = await _sealed(await _sealed(LETTER))

    changed = await _sealed(
        octets.replace(b"Subject: Is", b"Subject: [list] Is") + b"-- \r\nlist\r\n"
    )

    chain, arc = await _found(changed)
    assert arc.result == "fail"  # it sealed what it had broken: cv=fail
    assert (chain.highest, chain.why) == (3, "seal 3 says cv=fail")
    assert await _sealed(changed) == changed  # RFC 8617 §5.1 (2)


async def test_what_changed_before_the_last_seal_is_told_by_oldest_pass() -> None:
    octets = await _sealed(LETTER)
    chain, arc = await _found(octets)
    end = header_end(octets)
    body = octets[end:] + b"-- \r\nlist\r\n"
    digest = digest_bodies([body], ["simple"])["simple"]
    fields = seal(Header(octets[:end]), digest, SIGNER, (chain, arc), "relay.test; none", NOW)

    found = (await _found(fields + octets[:end] + body))[1]

    assert (found.result, found.oldest_pass) == ("pass", 2)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"Subject: Is", b"Subject: Was", "set 2: the header was changed"),
        (b"hungry", b"thirsty", "set 2: the body was changed"),
        (b"Results: i=1; relay.test; spf=pass", b"Results: i=1; relay.test; spf=fail",
         "seal 1: the sets were changed"),
        (b"Seal: i=1;", b"Seal: i=3;", "set 1 is not whole"),
        (b"cv=pass", b"cv=none", "seal 2 says cv=none"),
        (b"Seal: i=1;", b"Seal: i=1; h=from;", "a seal with h="),
        (b"i=2;", b"i=99;", "more than 50 sets"),
    ],
)  # fmt: skip
async def test_broken_chains(old: bytes, new: bytes, why: str) -> None:
    octets = await _sealed(await _sealed(LETTER))
    assert old in octets

    arc = (await _found(octets.replace(old, new)))[1]

    assert (arc.result, arc.why) == ("fail", why)


async def test_a_key_that_is_not_there_breaks_it() -> None:
    octets = await _sealed(LETTER)

    arc = (await _found(octets, FakeNames({})))[1]

    assert (arc.result, arc.why, arc.is_doubtful) == ("fail", "set 1: no key", False)


SILENT = FakeNames({}, frozenset({"arc._domainkey.relay.test"}))


async def test_a_chain_that_dns_does_not_tell_of_now_fails_and_is_not_sealed() -> None:
    octets = await _sealed(LETTER)
    end = header_end(octets)
    digest = digest_bodies([octets[end:]], ["simple"])["simple"]

    chain, arc = await _found(octets, SILENT)

    assert arc.result == "fail"  # RFC 8617 §5.2.1
    assert arc.doubted == {"relay.test"}
    assert seal(Header(octets[:end]), digest, SIGNER, (chain, arc), "relay.test; none", NOW) == b""
    assert (await _found(octets))[1].result == "pass"  # for the next server
    assert waits_for(arc, {"relay.test"}) == "relay.test"
    assert waits_for(arc, {"other.test"}) == ""


async def test_what_is_broken_for_certain_is_not_doubtful() -> None:
    octets = await _sealed(await _sealed(LETTER))
    names = FakeNames({}, frozenset({"old._domainkey.relay.test"}))
    old = octets.replace(b"s=arc", b"s=old").replace(b"s=old", b"s=arc", 2)  # set 1 asks old

    arc = (await _found(old, names))[1]

    assert (arc.result, arc.is_doubtful) == ("fail", False)


async def test_silence_of_a_stranger_makes_nobody_wait() -> None:
    octets = (await _sealed(LETTER)).replace(b"d=relay.test", b"d=evil.test", 1)
    names = FakeNames(
        {"arc._domainkey.relay.test": {"TXT": [RECORD]}},
        SILENT.silent | {"arc._domainkey.evil.test"},
    )

    arc = (await _found(octets, names))[1]

    assert arc.is_doubtful
    assert waits_for(arc, {"relay.test"}) == ""
    assert doubtful(read_chain(Header(octets[: header_end(octets)]))).doubted == {
        "relay.test",
        "evil.test",
    }
    assert doubtful(Chain()).result == "none"
