"""The messages of the bench: as varied as lists show them, 4 KiB each, always the same ones."""

from __future__ import annotations

import random

OCTETS = 4096
RARE = "xylotherapy"  # in the text of one message in a thousand
NAME = "Adler"  # of every sixteenth sender
RARE_EVERY, RARE_AT = 997, 5

_FIRST = ("Anna", "Ben", "Carla", "David", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas")
_LAST = ("Adler", "Baker", "Costa", "Dupont", "Evans", "Fischer", "Garcia", "Huber",
         "Ivanov", "Jansen", "Kaya", "Larsen", "Meyer", "Novak", "Okafor", "Peters")  # fmt: skip
_WORDS = ("alpha", "report", "invoice", "meeting", "quarter", "budget", "review", "schedule",
          "deploy", "cluster", "storage", "network", "policy", "message", "delivery", "customer",
          "contract", "update", "release", "version", "travel", "lunch", "garden", "river")  # fmt: skip

_HEADER = """\
Return-Path: <{address}>
Received: from mail{host}.example.test (mail{host}.example.test [192.0.2.{octet}])
\tby mx.bench.test with ESMTP id {n:08X}
\tfor <u000@bench.test>; Sat, 01 Mar 2025 10:{minute:02}:{second:02} +0000
From: {name} <{address}>
To: User Zero <u000@bench.test>
Cc: Team List <team@bench.test>
Subject: {subject} no {n}
Date: Sat, 01 Mar 2025 10:{minute:02}:{second:02} +0000
Message-ID: <{n}.{key:08x}@example.test>
In-Reply-To: <{before}.prev@example.test>
User-Agent: bench/1
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

"""


def letters(count: int, seed: int, octets: int = OCTETS) -> list[bytes]:
    """Return messages; the same seed gives the same ones."""
    chance = random.Random(seed)  # noqa: S311 - no secrets
    return [_letter(n, chance, octets) for n in range(count)]


def _letter(n: int, chance: random.Random, octets: int) -> bytes:
    name = f"{chance.choice(_FIRST)} {chance.choice(_LAST)}"
    text = _HEADER.format(
        address=f"{name.lower().replace(' ', '.')}@example{n % 50}.test",
        name=name,
        host=n % 9,
        octet=n % 250,
        minute=n // 60 % 60,
        second=n % 60,
        subject=" ".join(chance.choice(_WORDS) for _ in range(3)),
        key=chance.getrandbits(32),
        before=n - 1,
        n=n,
    )
    lines = [f"a word that is rare: {RARE}"] if n % RARE_EVERY == RARE_AT else []
    size = len(text)
    while size < octets:
        lines.append(" ".join(chance.choice(_WORDS) for _ in range(10)))
        size += len(lines[-1]) + 2
    return (text + "\n".join(lines) + "\n").replace("\n", "\r\n").encode()
