"""DKIM: dkimpy's own test data, and dkimpy itself as the other end."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from posthouse.authenticity.dkim import Dkim, Signer, digest_bodies, sign, signatures_in, verify
from posthouse.authenticity.dkim.bodies import BodyHash, Canon
from posthouse.authenticity.dkim.headers import Header, canonical
from posthouse.authenticity.dkim.keys import BadKey, parse_key
from posthouse.authenticity.dkim.signature import Signature
from posthouse.mail.header import header_end
from support.names import FakeNames

DATA = Path(__file__).parents[2] / "golden" / "dkim"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RSA_KEY = (DATA / "test.txt").read_text().strip()
RFC_8463_KEY = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
SHORT_KEY = (
    "k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBANmBe10IgY+u7h3enWTukkqtUD5PR52Tb/mPfjC0QJTocVBq"
    "6Za/PlzfV+Py92VaCak19F4WrbVTK5Gg5tW220MCAwEAAQ=="
)
KEYS = {
    "test._domainkey.football.example.com": RSA_KEY,
    "brisbane._domainkey.football.example.com": RFC_8463_KEY,
    "test._domainkey.example.com": RSA_KEY,
}
FORMS: tuple[Canon, ...] = ("simple", "relaxed")
LETTERS = ("test.message", "test2.message", "test_extra.message", "rfc6376.msg", "ed25519test.msg")


def _letter(name: str) -> bytes:
    return (DATA / name).read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


async def _verified(
    octets: bytes, keys: Mapping[str, str] = KEYS, silent: frozenset[str] = frozenset()
) -> tuple[Dkim, ...]:
    end = header_end(octets)
    header = Header(octets[:end])
    found = signatures_in(header)
    canons = {each.body_canon for each in found if isinstance(each, Signature)}
    names = FakeNames({name: {"TXT": [text]} for name, text in keys.items()}, frozenset(silent))
    return await verify(names, header, found, digest_bodies([octets[end:]], canons))


async def _results(octets: bytes, keys: Mapping[str, str] = KEYS) -> list[str]:
    return [each.result for each in await _verified(octets, keys)]


def _signed(octets: bytes, *signers: Signer) -> bytes:
    end = header_end(octets)
    digest = digest_bodies([octets[end:]], ["simple"])["simple"]
    return sign(Header(octets[:end]), digest, signers, NOW) + octets


def _by_dkimpy(octets: bytes, **options: object) -> bytes:
    key = (DATA / "test.private").read_bytes()
    field: bytes = dkim.sign(octets, b"test", b"example.com", key, **options)
    return field + octets


def _keys() -> tuple[tuple[Signer, ...], dict[str, str]]:
    """Return an Ed25519 and an RSA key of example.com, and how they are published."""
    private: dict[str, Ed25519PrivateKey | rsa.RSAPrivateKey] = {
        "ed": Ed25519PrivateKey.generate(),
        "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    }
    records, signers = {}, []
    for selector, key in private.items():
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        signers.append(Signer(domain="example.com", selector=selector, key=pem))
        records[f"{selector}._domainkey.example.com"] = _record(selector, key)
    return tuple(signers), records


def _record(selector: str, key: Ed25519PrivateKey | rsa.RSAPrivateKey) -> str:
    public = key.public_key()
    if isinstance(key, Ed25519PrivateKey):
        octets = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    else:
        octets = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    kind = "ed25519" if selector == "ed" else "rsa"
    return f"v=DKIM1; k={kind}; p={dkim.base64.b64encode(octets).decode()}"


SIGNERS, PUBLISHED = _keys()


@pytest.mark.parametrize(
    ("name", "results"),
    [
        ("rfc6376.signed.msg", ["pass", "pass"]),  # RFC 8463 §A.3
        ("rfc6376.signed.rsa.msg", ["pass"]),
        ("rfc6376.signed.no_t.msg", ["fail"]),  # t= was taken out of it
        ("test.message", []),
    ],
)
async def test_messages_that_others_signed(name: str, results: list[str]) -> None:
    found = await _verified(_letter(name))

    assert [each.result for each in found] == results, found


@pytest.mark.parametrize("header_form", FORMS)
@pytest.mark.parametrize("body_form", FORMS)
@pytest.mark.parametrize("name", LETTERS)
async def test_what_dkimpy_signs_verifies(header_form: Canon, body_form: Canon, name: str) -> None:
    forms = (header_form.encode(), body_form.encode())

    results = await _results(_by_dkimpy(_letter(name), canonicalize=forms))
    assert results[0] == "pass"  # one of the letters has another signature below


@pytest.mark.parametrize("signer", SIGNERS, ids=repr)
@pytest.mark.parametrize("name", LETTERS)
async def test_what_we_sign_verifies_here_and_by_dkimpy(signer: Signer, name: str) -> None:
    octets = _signed(_letter(name), signer)

    assert (await _results(octets, PUBLISHED))[0] == "pass"
    assert dkim.verify(octets, dnsfunc=_published)


def _published(name: bytes, **_: object) -> bytes:
    return PUBLISHED[name.decode().removesuffix(".")].encode()


async def test_two_signatures_of_one_domain_hold_both() -> None:
    found = await _verified(_signed(_letter("test.message"), *SIGNERS), PUBLISHED)

    assert [(each.result, each.selector) for each in found] == [("pass", "ed"), ("pass", "rsa")]


@pytest.mark.parametrize(
    "addition",
    [
        b"Subject: Pay at once\r\n",
        b"From: eve@evil.test\r\n",
        b"Reply-To: eve@evil.test\r\n",  # that was not there
        b"Content-Type: text/html\r\n",
        b"MIME-Version: 1.0\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
    ],
)
async def test_a_second_field_of_a_name_breaks_our_signature(addition: bytes) -> None:
    typed = b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 7bit\r\n"
    octets = addition + _signed(typed + _letter("test.message"), *SIGNERS)

    assert await _results(octets, PUBLISHED) == ["fail", "fail"]


async def test_what_servers_do_in_passing_breaks_nothing() -> None:
    octets = _signed(_letter("test.message"), *SIGNERS)
    folded = octets.replace(b"Subject: Testing", b"subject :\r\n\t Testing ")

    assert await _results(b"Received: by x\r\n" + folded + b"\r\n\r\n", PUBLISHED) == ["pass"] * 2


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"test message.", b"test massage.", "the body was changed"),
        (b"Subject: Testing", b"Subject: Texting", "the header was changed"),
    ],
)
async def test_what_was_changed_fails(old: bytes, new: bytes, why: str) -> None:
    octets = _signed(_letter("test.message"), SIGNERS[0])
    assert old in octets

    (found,) = await _verified(octets.replace(old, new), PUBLISHED)

    assert (found.result, found.why) == ("fail", why)


async def test_a_body_that_is_covered_in_part_is_not_trusted() -> None:
    octets = _by_dkimpy(_letter("test.message"), length=True)

    assert await _results(octets) == ["pass"]
    (found,) = await _verified(octets + b"And pay at once.\r\n")
    assert (found.result, found.why) == ("policy", "not all of the body is covered")


@pytest.mark.parametrize(
    ("record", "result", "why"),
    [
        (RSA_KEY.partition("p=")[0] + "p=", "permerror", "the key is revoked"),
        ("v=DKIM1; k=rsa", "permerror", "no key in the record"),
        ("v=DKIM2; " + RSA_KEY.partition(";")[2], "permerror", "not a key of DKIM"),
        (RSA_KEY + "; h=sha1", "permerror", "the key does not sign SHA-256"),
        (RSA_KEY + "; s=telegraph", "permerror", "the key is not for mail"),
        (RFC_8463_KEY, "permerror", "the key is for ed25519"),
        (RSA_KEY + "; t=y", "pass", "only a test (t=y)"),
        (RSA_KEY + "; t=y:s; x=y", "pass", "only a test (t=y)"),
        (RSA_KEY + "; h=sha1 : sha256; s=mail:*", "pass", ""),
        (RSA_KEY + "; s=tlsrpt", "permerror", "the key is not for mail"),
        (SHORT_KEY, "permerror", "a key of 512 bits proves nothing"),
    ],
)  # fmt: skip
async def test_keys_that_prove_nothing(record: str, result: str, why: str) -> None:
    octets = _by_dkimpy(_letter("test.message"))

    (found,) = await _verified(octets, {"test._domainkey.example.com": record})

    assert (found.result, found.why) == (result, why)


@pytest.mark.parametrize(
    ("modulus", "exponent", "why"),
    [
        (2**2047 + 1, 2**33 + 1, "an exponent that is only work"),
        (2**8192 + 1, 65537, "a key of 8193 bits"),
    ],
)
def test_a_key_that_is_only_work_is_none(modulus: int, exponent: int, why: str) -> None:
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    octets = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    with pytest.raises(BadKey, match=why):
        parse_key(f"v=DKIM1; p={b64encode(octets).decode()}")


async def test_a_bare_rsa_key_is_one() -> None:
    key = (DATA / "2048_testkey.key").read_bytes()
    letter = _letter("test.message")
    octets = dkim.sign(letter, b"test", b"example.com", key) + letter
    for name in ("2048_testkey_wo_markers.pub.txt", "2048_testkey_wo_markers.pub.rsa.txt"):
        record = (DATA / name).read_text().strip()

        assert await _results(octets, {"test._domainkey.example.com": record}) == ["pass"]


async def test_nobody_who_could_tell_is_no_verdict() -> None:
    octets = _by_dkimpy(_letter("test.message"))

    (found,) = await _verified(octets, {}, frozenset({"test._domainkey.example.com"}))

    assert found.result == "temperror"
    assert await _results(octets, {}) == ["permerror"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"v=1", b"v=2", "v= is not 1"),
        (b"a=ed25519-sha256", b"a=rsa-md5", "algorithm rsa-md5"),
        (b"d=example.com", b"d=", "without d="),
        (b"d=example.com", b"d=example.com; i=@example.org", "i= is not within d="),
        (b"d=example.com", b"d=example.com; d=example.com", "d stands there twice"),
        (b"d=example.com", b"d=example.com; q=carrier/pigeon", "key asked for in a way nobody knows"),
        (b"d=example.com", b"d=example.com; l=many", "not a length: many"),
        (b"d=example.com", b"d=example.com; t=5; x=4", "x= is before t="),
        (b"bh=", b"bh=%", "bad base64"),
        (b"from", b"form", "From is not covered"),
    ],
)  # fmt: skip
async def test_fields_that_are_no_signatures(old: bytes, new: bytes, why: str) -> None:
    signed = _signed(_letter("test.message"), SIGNERS[0]).replace(b"t=1795348800;", b"")
    field, _, rest = signed.partition(b"\r\nAuthentication")
    field = field.replace(old, new)
    (found,) = await _verified(field + b"\r\nAuthentication" + rest)

    assert (found.result, found.why) == ("permerror", why)


async def test_signatures_beyond_the_tenth_are_not_looked_at() -> None:
    letter = _letter("test.message")
    signature = _signed(letter, SIGNERS[0]).removesuffix(letter)

    assert len(await _results(signature * 30 + letter, PUBLISHED)) == 10


def test_the_examples_of_the_rfc() -> None:  # RFC 6376 §3.4.5
    header = Header(b"A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n")
    body = b" C \r\nD \t E\r\n\r\n\r\n"

    fields = [field for _, field in header.fields]
    assert [canonical(each, "relaxed") for each in fields] == [b"a:X\r\n", b"b:Y Z\r\n"]
    assert [canonical(each, "simple") for each in fields] == [b"A: X\r\n", b"B : Y\t\r\n\tZ  \r\n"]
    digests = digest_bodies([body], FORMS)
    assert digests["relaxed"] == digest_bodies([b" C\r\nD E\r\n"], ["simple"])["simple"]
    assert digests["simple"].size == len(b" C \r\nD \t E\r\n")


PARTS = st.lists(st.sampled_from([b"\r\n", b" ", b"\t", b"a", b"bc", b"\r", b"\n"]), max_size=40)


@given(PARTS, st.sampled_from(FORMS))
def test_a_body_in_pieces_is_the_body(parts: list[bytes], form: Canon) -> None:
    whole = digest_bodies([b"".join(parts)], [form])[form]
    each = BodyHash(form)
    for part in parts:
        each.update(part)

    assert each.finish() == whole


@given(st.lists(st.sampled_from([b"\r\n", b" ", b"\t", b"a", b"bc"]), max_size=40))
def test_bodies_are_hashed_as_dkimpy_does(parts: list[bytes]) -> None:
    body = b"".join(parts) + b"\r\n"
    for form, ours in digest_bodies([body], FORMS).items():
        theirs = dkim.CanonicalizationPolicy.from_c_value(f"{form}/{form}".encode())

        assert ours.octets == dkim.hashlib.sha256(theirs.canonicalize_body(body)).digest()


@given(st.binary(max_size=300))
async def test_any_field_is_a_signature_or_a_bad_one(octets: bytes) -> None:
    field = b"DKIM-Signature: " + octets.replace(b"\r", b"").replace(b"\n", b"\n\t") + b"\r\n\r\n"

    assert await _results(field + b"body\r\n", {}) == ["permerror"]
