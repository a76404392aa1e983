"""A small corpus of wanted mail and of spam, made anew from a seed: the same each time, nobody's mail."""

from __future__ import annotations

import random
from base64 import encodebytes
from collections.abc import Iterator

_NAMES = ("anna", "bert", "carla", "david", "eva", "frank", "gerda", "hans", "ida", "jonas")


def _words(text: str) -> list[str]:
    return text.split()


_COMMON = _words(
    "please the you we your that with from this have time today new here will can our all day more "
    "know want best make good great well soon just like take need right first help thank hello order"
)
_WORK = _words(
    "meeting report project draft review budget quarter schedule agenda minutes invoice contract "
    "customer deadline release testing server migration database backup ticket office lunch train "
    "holiday colleague department figures slides attached comments version proposal question answer "
    "thanks regards monday tuesday thursday afternoon workshop training travel hotel calendar"
)
_SALE = _words(
    "winner lottery million claim prize urgent transfer beneficiary inheritance casino bonus jackpot "
    "pills pharmacy discount cheap replica watches luxury weight loss miracle enlarge guaranteed "
    "investment crypto profit wallet verify suspended account password expire limited offer click "
    "unsubscribe free shipping exclusive deal cash loan credit approved risk satisfaction refund"
)
# Both talk of these now and then: newsletters sell, and spam speaks of invoices.
_SHARED = ("invoice", "order", "account", "offer", "customer", "free", "shipping", "credit", "bank")


def ham(count: int, seed: int = 1) -> Iterator[bytes]:
    """Yield wanted mail: people of a company, some newsletters."""
    lot = random.Random(f"ham {seed}")  # noqa: S311 - no secret
    for number in range(count):
        sender = lot.choice(_NAMES)
        host = lot.choice(("work.test", "partner.test", "news.test"))
        words = _mixed(lot, _WORK, _SALE, stray=0.04)
        body = _text(lot, words, f"https://intranet.{host}/{number}")
        yield _letter(lot, f"{sender}@{host}", words, body, number, is_page=host == "news.test")


def spam(count: int, seed: int = 1) -> Iterator[bytes]:
    """Yield spam: half of it HTML with hidden words, some in base64, from hosts that change."""
    lot = random.Random(f"spam {seed}")  # noqa: S311 - no secret
    for number in range(count):
        host = f"{lot.choice(_SALE)}{lot.randrange(40)}.{lot.choice(('shop', 'top', 'click'))}.test"
        words = _mixed(lot, _SALE, _WORK, stray=0.12)
        body = _text(lot, words, f"http://{host}/{lot.randrange(10**6)}")
        if lot.random() < 0.5:
            hidden = " ".join(lot.choices(_WORK, k=10))
            body += f"<div style='display:none'>{hidden}</div><img src='http://{host}/p.gif'>"
        yield _letter(lot, f"{lot.choice(_NAMES)}{lot.randrange(999)}@{host}", words, body, number,
                      is_page=lot.random() < 0.5)  # fmt: skip


def _mixed(lot: random.Random, own: list[str], other: list[str], stray: float) -> list[str]:
    def one() -> str:
        if lot.random() < 0.55:
            return lot.choice(_COMMON)
        if lot.random() < 0.08:
            return lot.choice(_SHARED)
        return lot.choice(other if lot.random() < stray else own)

    return [one() for _ in range(lot.randrange(25, 140))]


def _text(lot: random.Random, words: list[str], link: str) -> str:
    lines = [" ".join(words[at : at + 12]) for at in range(0, len(words), 12)]
    lines.insert(lot.randrange(len(lines)), link)
    return "\r\n".join(lines) + "\r\n"


def _letter(
    lot: random.Random, sender: str, words: list[str], body: str, number: int, *, is_page: bool
) -> bytes:
    address = f"192.0.{lot.randrange(4) if 'work' in sender else lot.randrange(250)}.{number % 250}"
    host = sender.partition("@")[2]
    kind = "text/html" if is_page else "text/plain"
    content = body.encode()
    encoding = "8bit"
    if is_page and lot.random() < 0.3:
        content, encoding = encodebytes(content).replace(b"\n", b"\r\n"), "base64"
    head = (
        f"Received: from mx.{host} ([{address}]) by mx.example.test with ESMTP; {number}\r\n"
        f"From: {sender}\r\nTo: {lot.choice(_NAMES)}@example.test\r\n"
        f"Subject: {' '.join(lot.sample(words, 4))}\r\n"
        f"Message-ID: <{lot.getrandbits(64):x}@{host}>\r\n"
        f"Content-Type: {kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    )
    return head.encode() + content
