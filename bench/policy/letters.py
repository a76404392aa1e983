"""Signed letters of 20 KiB, rules to score them by, and letters to learn from; the same every time."""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from uuid import UUID

from posthouse.authenticity.dkim import Signer, digest_bodies, sign
from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.dkim.making import make_pem, record_of

DOMAIN = "far.test"
CLIENT = "192.0.2.25"
SELECTOR = "bench"
OCTETS = 20 * 1024
VOCABULARY = 20_000
_SYLLABLES = ("ba", "con", "di", "fer", "gal", "hu", "jo", "ker", "li", "mon", "ner", "pol", "ra")
_KINDS = (
    "header R{n} Subject =~ /\\b{word}\\d+{n}\\b/i",
    "body R{n} /\\b{word} (?:now|today|here) {n}\\b/i",
    "rawbody R{n} /<{word}[^>]{{0,40}}{n}>/i",
    "uri R{n} /{word}{n}\\.example\\b/i",
)


def _vocabulary() -> Iterator[str]:
    chance = random.Random(0)  # noqa: S311 - the same every time
    for _ in range(VOCABULARY):
        yield "".join(chance.choices(_SYLLABLES, k=chance.randint(1, 4)))


_WORDS = tuple(_vocabulary())
# Zipf's, as of any text
_WEIGHTS = tuple(accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))


def words(chance: random.Random, count: int) -> str:
    """Return so many words, in lines."""
    found = chance.choices(_WORDS, cum_weights=_WEIGHTS, k=count)
    return "\r\n".join(" ".join(found[at : at + 10]) for at in range(0, count, 10))


def rules(count: int) -> str:
    """Return so many rules of all kinds, in SpamAssassin's language; none of them hits."""
    chance = random.Random(count)  # noqa: S311 - the same every time
    lines = []
    for n in range(count):
        word = "".join(chance.choices(_SYLLABLES, k=3))
        lines += [_KINDS[n % len(_KINDS)].format(n=n, word=word), f"score R{n} 0.1"]
    return "\n".join(lines)


def lessons(count: int, kind: str) -> list[str]:
    """Return so many letters of a kind, in base64."""
    chance = random.Random(kind)  # noqa: S311 - likewise
    return [
        b64encode(
            f"Subject: {kind} {n}\r\nFrom: <{kind}@far.test>\r\n\r\n{words(chance, 200)}\r\n".encode()
        ).decode()
        for n in range(count)
    ]


class Author:
    """Writes letters and signs them by RSA with 2,048 bits.

    Attributes:
        records: What its domain publishes.
    """

    def __init__(self) -> None:
        pem = make_pem("rsa")
        self._signer = Signer(domain=DOMAIN, selector=SELECTOR, key=pem)
        key = record_of(pem)
        strings = " ".join(f'"{key[at : at + 250]}"' for at in range(0, len(key), 250))
        self.records = {
            (DOMAIN, "TXT"): f'"v=spf1 ip4:{CLIENT} -all"',
            (f"_dmarc.{DOMAIN}", "TXT"): '"v=DMARC1; p=reject"',
            (f"{SELECTOR}._domainkey.{DOMAIN}", "TXT"): strings,
            ("25.2.0.192.in-addr.arpa", "PTR"): f"mx.{DOMAIN}.",
            (f"mx.{DOMAIN}", "A"): CLIENT,
        }

    def letters(self, idents: Sequence[UUID]) -> Iterator[bytes]:
        """Yield a letter for each of ``idents``, all of them different."""
        for n, ident in enumerate(idents):
            chance = random.Random(n)  # noqa: S311 - likewise
            text = words(chance, 3000)
            html = "".join(f"<p>{line}</p>\r\n" for line in text.split("\r\n")[:90])
            yield self._signed(_letter(ident, text[: OCTETS // 2], html))

    def _signed(self, letter: bytes) -> bytes:
        start = letter.index(b"\r\n\r\n") + 4
        digest = digest_bodies([letter[start:]], {"simple"})["simple"]
        return sign(Header(letter[:start]), digest, [self._signer], datetime.now(UTC)) + letter


def _letter(ident: UUID, text: str, html: str) -> bytes:
    return (
        f"Received: from mx.{DOMAIN} ([{CLIENT}]) by mail.bench.test with ESMTPS\r\n"
        f" id {ident}; Mon, 01 Jun 2026 12:00:00 +0000\r\n"
        f"From: Anna Author <anna@{DOMAIN}>\r\nTo: <u000@grey.test>\r\n"
        f"Subject: Report {ident.hex[:8]} of the quarter\r\nDate: Mon, 01 Jun 2026 12:00:00 +0000\r\n"
        f"Message-ID: <{ident}@{DOMAIN}>\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: multipart/alternative; boundary="b"\r\n\r\n'
        f"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
        f"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>\r\n{html}"
        f'<a href="https://www.{DOMAIN}/report">more</a></body></html>\r\n--b--\r\n'
    ).encode()
