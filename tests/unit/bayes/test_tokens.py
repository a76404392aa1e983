"""What a message is made of, for the classifier."""

from __future__ import annotations

import time
from base64 import encodebytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.bayes.headers import header_tokens
from posthouse.bayes.numbers import word_number
from posthouse.bayes.tokens import MAX_OCTETS, MAX_TOKENS, digest_of, tokens_of
from posthouse.bayes.words import host_tokens, words_of

LETTER = b"From: Anna <anna@a.test>\r\nSubject: about lunch\r\nMessage-ID: <1@a.test>\r\n\r\nhello dear world\r\n"


def _has(octets: bytes, *tokens: str) -> bool:
    return {word_number(each) for each in tokens} <= set(tokens_of(octets))


def test_words_of_the_body_and_words_of_fields_are_different_tokens() -> None:
    assert _has(LETTER, "hello", "world", "s:lunch", "f:anna@a.test", "f:@a.test", "i:a.test")
    assert not _has(LETTER, "lunch")
    assert not _has(LETTER, "s:hello")


def test_what_is_encoded_is_read_decoded() -> None:
    plain = tokens_of(
        b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + "grüße aus köln".encode()
    )
    encoded = tokens_of(
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + encodebytes("grüße aus köln".encode())
    )

    assert set(plain) <= set(encoded)
    assert _has(b"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\r\n", "s:grüße")


def test_of_a_page_words_are_what_is_seen_and_traits_what_is_not() -> None:
    page = b"""Content-Type: text/html\r\n\r\n<p>buy n<b>o</b>w <!-- poem --></p>
      <div style="display: none">x</div><a href="http://shop.evil.test:8080/x">here</a><img src=cid:1>"""

    assert _has(
        page, "buy", "now", "here", "h:hidden", "h:img", "h:cid:", "u:evil.test", "u:with port"
    )
    assert not _has(page, "poem")


def test_parts_that_are_no_text_are_known_by_type_and_ending() -> None:
    octets = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n"
        b'Content-Type: application/zip; name="bill.exe"\r\n\r\nUEsD\r\n--b--\r\n'
    )

    assert _has(octets, "hello", "p:application/zip", "e:exe")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't PANIC, x yz 42", ["don't", "panic"]),
        ("a" * 21, ["aaaaaaa…"]),
        ("今日は mail", ["mail", "今日", "日は"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_hosts_are_known_by_their_domains_too() -> None:
    assert list(host_tokens("a.b.shop.test")) == ["u:a.b.shop.test", "u:shop.test", "u:test"]
    assert "u:numeric" in host_tokens("192.0.2.1")
    assert "u:with user" in host_tokens("bank.test@evil.test")


def test_what_was_written_after_the_judgement_says_nothing() -> None:
    stamped = (
        b"X-Spam-Flag: YES\r\nAuthentication-Results: mx; spf=pass\r\nReturn-Path: <a@b.test>\r\n"
        b"Delivered-To: bert@b.test\r\nDKIM-Signature: v=1\r\nARC-Seal: i=1\r\n" + LETTER
    )

    assert set(tokens_of(stamped)) == set(tokens_of(LETTER))
    assert digest_of(stamped) == digest_of(LETTER)


def test_another_message_has_another_digest() -> None:
    digests = {
        digest_of(each)
        for each in (LETTER, LETTER.replace(b"<1@", b"<2@"), LETTER.replace(b"dear", b"my"))
    }

    assert len(digests) == 3


def test_hops_are_networks_and_domains_not_who_took_it() -> None:
    field = (
        b"Received: from mx.shop.test (mx.shop.test [192.0.2.77]) by mx.ours.test with ESMTP\r\n"
    )

    found = set(header_tokens(field))

    assert {"r:shop.test", "r:192.0.2"} <= found
    assert not any("ours" in each for each in found)


@given(st.binary(max_size=3000))
def test_any_octets_have_tokens(octets: bytes) -> None:
    found = tokens_of(octets)

    assert len(set(found)) == len(found) <= MAX_TOKENS
    assert all(-(2**63) <= each < 2**63 for each in found)
    assert found == tokens_of(octets)


@pytest.mark.parametrize(
    "piece",
    [b"a", b"A", b"<", b"<a ", b"http://", b"=\"'", b"1.", b"$1", b"a@", b"--b\r\n", b"&#9;", b"\xe4\xbb\x8a",
     b"www.a.", b"color:", b"font-size:", b"<!--", b'name="', b"=?utf-8?q?a?= ", b"From: a@b\r\n", b"\r\n\r\n"],
)  # fmt: skip
@pytest.mark.parametrize("kind", [b"text/plain", b"text/html"])
def test_no_repetition_costs_more_than_its_length(kind: bytes, piece: bytes) -> None:
    head = b"Content-Type: %b\r\nSubject: " % kind + (piece * 3000)[:3000] + b"\r\n\r\n"
    octets = head + (piece * MAX_OCTETS)[: 2 * MAX_OCTETS]
    began = time.thread_time()

    found = tokens_of(octets)

    assert len(found) <= MAX_TOKENS
    assert time.thread_time() - began < 1.0  # some 20 ms; what is not linear takes minutes
