"""OpenDKIM at the other end: it believes what we sign, and we what it signs; RSA and Ed25519."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from posthouse.authenticity.dkim import Signer, digest_bodies, sign, signatures_in, verify
from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.dkim.making import Algorithm, make_pem, record_of
from posthouse.mail.header import header_end
from support.names import FakeNames
from support.signatures import signed_letters

pytestmark = pytest.mark.integration

OPENDKIM = "/usr/sbin/opendkim"
KINDS: tuple[Algorithm, ...] = ("rsa", "ed25519")
LETTER = (
    b"From: Anna <anna@a.test>\r\nTo: bert@b.test\r\nSubject: Gr\xc3\xbc\xc3\x9fe  und  mehr\r\n"
    b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <x@a.test>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n\tcharset=utf-8\r\n\r\n"
    b"Hi  there \r\n\r\n.\r\nlast\r\n\r\n\r\n"
)


async def opendkim(folder: Path, octets: bytes, lines: Sequence[str]) -> str:
    """Return what OpenDKIM's test mode says of a message."""
    (folder / "opendkim.conf").write_text("\n".join((*lines, "Syslog no", "")))
    (folder / "letter").write_bytes(octets)
    asked = await asyncio.create_subprocess_exec(
        OPENDKIM, "-x", str(folder / "opendkim.conf"), "-t", str(folder / "letter"), "-vv",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(30):
        said, _ = await asked.communicate()
    return said.decode()


def signed(octets: bytes, kinds: Sequence[Algorithm], keys: dict[Algorithm, str]) -> bytes:
    start = header_end(octets)
    digest = digest_bodies([octets[start:]], {"simple"})["simple"]
    signers = [Signer(domain="a.test", selector=kind, key=keys[kind]) for kind in kinds]
    return sign(Header(octets[:start]), digest, signers, datetime.now(UTC)) + octets


@pytest.fixture(scope="module")
def keys() -> dict[Algorithm, str]:
    return {kind: make_pem(kind) for kind in KINDS}


@pytest.mark.parametrize("kinds", [("rsa",), ("ed25519",), ("ed25519", "rsa")])
async def test_opendkim_believes_our_signatures(
    kinds: tuple[Algorithm, ...], keys: dict[Algorithm, str], tmp_path: Path
) -> None:
    records = [f"{kind}._domainkey.a.test {record_of(pem)}" for kind, pem in keys.items()]
    (tmp_path / "keys").write_text("\n".join(records) + "\n")
    conf = ("Mode v", f"TestPublicKeys {tmp_path}/keys")

    whole = await opendkim(tmp_path, signed(LETTER, kinds, keys), conf)
    broken = await opendkim(tmp_path, signed(LETTER, kinds, keys).replace(b"last", b"lost"), conf)
    added = await opendkim(tmp_path, b"Subject: x\r\n" + signed(LETTER, kinds, keys), conf)

    assert re.findall(r"dkim=(\w+)[^;]*header\.a=([\w-]+)", whole) == [
        ("pass", f"{kind}-sha256") for kind in kinds
    ]
    assert "dkim=fail" in broken
    assert "dkim=pass" not in added


# Its Ed25519 signatures with a simple header are not even believed by itself.
@pytest.mark.parametrize(
    ("kind", "form"),
    [("rsa", "relaxed/relaxed"), ("rsa", "simple/simple"), ("ed25519", "relaxed/simple")],
)
async def test_we_believe_opendkims_signatures(
    kind: Algorithm, form: str, keys: dict[Algorithm, str], tmp_path: Path
) -> None:
    (tmp_path / "key.pem").write_text(keys[kind])
    said = await opendkim(
        tmp_path,
        LETTER,
        (
            "Mode s", "Domain a.test", f"Selector {kind}", f"KeyFile {tmp_path}/key.pem",
            "RequireSafeKeys no", f"SignatureAlgorithm {kind}-sha256", f"Canonicalization {form}",
        ),
    )  # fmt: skip
    found = re.search(r"hname='(DKIM-Signature)' hvalue='([^']*)'", said)
    assert found is not None, said
    field = f"{found[1]}: {found[2]}\n".replace("\n", "\r\n").encode()
    names = FakeNames({f"{kind}._domainkey.a.test": {"TXT": [record_of(keys[kind])]}})

    assert await _results(names, field + LETTER) == ["pass"]
    assert await _results(names, field + LETTER.replace(b"last", b"lost")) == ["fail"]


async def test_letters_of_every_shape_are_believed(
    keys: dict[Algorithm, str], tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text(f"rsa._domainkey.a.test {record_of(keys['rsa'])}\n")
    conf = ("Mode v", f"TestPublicKeys {tmp_path}/keys")
    made = [each.partition(b"\r\nFrom:") for each in signed_letters()[-24::3]]
    for _, _, rest in made:
        letter = b"From:" + rest.replace(b"\0", b"")
        if not letter.endswith(b"\r\n"):
            letter += b"\r\n"
        assert "dkim=pass" in await opendkim(tmp_path, signed(letter, ("rsa",), keys), conf)


async def _results(names: FakeNames, octets: bytes) -> list[str]:
    start = header_end(octets)
    header = Header(octets[:start])
    digests = digest_bodies([octets[start:]], {"simple", "relaxed"})
    return [each.result for each in await verify(names, header, signatures_in(header), digests)]
