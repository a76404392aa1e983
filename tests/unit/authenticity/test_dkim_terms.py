"""DKIM: what a signature and a record say of their own terms, and what is wrong with a record of ours."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

import pytest

from posthouse.authenticity.dkim import (
    Dkim,
    Signature,
    Signer,
    digest_bodies,
    sign,
    signatures_in,
    verify,
)
from posthouse.authenticity.dkim.headers import Header, signed_octets
from posthouse.authenticity.dkim.making import fault_of, make_pem, record_of
from posthouse.authenticity.dkim.signing import names_to_cover, signed_field
from support.names import FakeNames

PEM = make_pem("ed25519")
RSA_PEM = make_pem("rsa")
RECORD = record_of(PEM)
HEAD, BODY = b"From: x@a.test\r\nSubject: hi\r\n\r\n", b"Hi.\r\n"
NAMES = ("from", "subject")


def signed(terms: str, algorithm: str = "ed25519-sha256") -> bytes:
    """Return a signature with ``terms`` of its own."""
    signer = Signer(domain="a.test", selector="s", key=PEM)
    digest = digest_bodies([BODY], {"simple"})["simple"]
    tags = (
        f"v=1; a={algorithm}; c=relaxed/simple; d=a.test; s=s; h={':'.join(NAMES)};{terms}",
        f"bh={b64encode(digest.octets).decode()};",
    )
    return signed_field(
        "DKIM-Signature", signer, tags,
        lambda field: signed_octets(Header(HEAD), field, NAMES, "relaxed"),
    )  # fmt: skip


async def found(field: bytes, record: str = RECORD) -> Dkim:
    header = Header(field + HEAD)
    names = FakeNames({"s._domainkey.a.test": {"TXT": [record]}})
    (result,) = await verify(
        names, header, signatures_in(header), digest_bodies([BODY], {"simple"})
    )
    return result


@pytest.mark.parametrize(
    ("terms", "result", "why"),
    [
        ("", "pass", ""),
        (" t=1; x=99999999999;", "pass", ""),
        (" t=1; x=1000000000;", "fail", "expired"),
        (" x=" + "9" * 30 + ";", "pass", ""),
        (" l=5;", "pass", ""),  # all of it
        (" l=3;", "policy", "not all of the body is covered"),
        (" l=50;", "permerror", "the body is shorter than l="),
        (" i=who@news.a.test;", "pass", ""),
        (" z=From:y@b.test; unknown=1;", "pass", ""),
    ],
)
async def test_terms_of_a_signature(terms: str, result: str, why: str) -> None:
    said = await found(signed(terms))
    assert (said.result, said.why) == (result, why)


async def test_sha1_is_refused() -> None:  # RFC 8301 section 3.1
    pem = make_pem("rsa")
    said = await found(signed("", "rsa-sha1"), record_of(pem))
    assert (said.result, said.why) == ("permerror", "SHA-1 proves nothing")


async def test_a_strict_key_is_for_its_very_domain() -> None:
    said = await found(signed(" i=who@news.a.test;"), RECORD + "; t=s")
    assert (said.result, said.why) == ("permerror", "i= is not the key's domain")
    assert (await found(signed(" i=who@a.test;"), RECORD + "; t=s")).result == "pass"


async def test_what_only_tests_fails_as_a_test() -> None:
    said = await found(signed("").replace(b"d=a.test", b"d=a.test; t=1", 1), RECORD + "; t=y")
    assert (said.result, said.why) == ("fail", "the header was changed; only a test (t=y)")
    assert said.is_testing


def test_what_we_sign_with_is_all_of_the_body_and_more_names_than_there_are() -> None:
    header = Header(
        HEAD.removesuffix(b"\r\n") + b"Content-Type: text/plain\r\nTo: y@b.test\r\n\r\n"
    )
    names = names_to_cover(header)
    assert [names.count(each) for each in ("from", "to", "subject", "content-type")] == [2] * 4
    assert [names.count(each) for each in ("cc", "reply-to", "references")] == [1] * 3
    assert [names.count(each) for each in ("mime-version", "sender", "list-id", "received")] == [
        0
    ] * 4
    digest = digest_bodies([BODY], {"simple"})["simple"]
    signers = [Signer(domain="a.test", selector="s", key=PEM)]
    made = signatures_in(Header(sign(header, digest, signers, datetime.now(UTC))))
    [signature] = made
    assert isinstance(signature, Signature)
    assert (signature.length, signature.expires_at) == (None, None)


P = RECORD.partition("p=")[2]
RSA = record_of(RSA_PEM)


RECORDS: list[tuple[str, list[str], str]] = [
        (RECORD, [RECORD], ""),
        (RECORD, [f"k=ed25519;p={P}"], ""),  # v= may be missing
        (RECORD, [f" v=DKIM1 ; k=ed25519 ; p= {P[:9]} {P[9:]} ; n=ours ;"], ""),
        (RSA, [RSA.replace("k=rsa; ", "")], ""),
        (RECORD, [], "0 text records stand there"),
        (RECORD, [RECORD, RECORD], "2 text records stand there"),
        (RECORD, [f"v=DKIM1; p={P}"], "k=ed25519 is missing"),
        (RECORD, [f"v=DKIM1; k=rsa; p={P}"], "not a key"),
        (RECORD, [RSA], "another key is published"),
        (RECORD, [record_of(make_pem("ed25519"))], "another key is published"),
        (RSA, [RSA[:255]], "it is cut off after 255 characters"),  # one string of several
        (RECORD, [RECORD.replace(";", "\\;")], "backslashes"),
        (RECORD, [f'"{RECORD}"'], "quotation marks"),
        (RECORD, ["v=DKIM1; k=ed25519; p="], "the key is revoked"),
        (RECORD, ["v=DKIM1; k=ed25519"], "no key in the record"),
        (RECORD, [f"v=spf1 -all; k=ed25519; p={P}"], "not a key of DKIM"),
        (RECORD, [f"k=ed25519; v=DKIM1; p={P}"], "not a key of DKIM"),
        (RECORD, ["v=spf1 -all"], "not a key of DKIM"),
    (RECORD, ["hello"], "not a tag: hello"),
        (RECORD, [RECORD + "; h=sha1"], "the key does not sign SHA-256"),
        (RECORD, [RECORD + "; s=tlsrpt"], "the key is not for mail"),
        (RECORD, [RECORD + "; t=y"], "t=y"),
        (RECORD, [RECORD + "; t=s"], ""),
        (RECORD, [RECORD.replace("k=ed25519", "k=dsa")], "a key of the kind dsa"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(RECORDS)))  # keys are other ones in each process
def test_what_is_wrong_with_a_record(case: int) -> None:
    record, published, fault = RECORDS[case]
    said = fault_of(record, published)
    assert fault in said if fault else said == ""
