"""Letters that are made to cost us much, before the rules of the house and the classifier: they cost little."""

from __future__ import annotations

import time

import pytest

from posthouse.bayes.tokens import MAX_TOKENS, digest_of, tokens_of
from posthouse.rules.compiled import Compiled, compile_rules
from posthouse.rules.defaults import default_rules
from posthouse.rules.letter import Letter
from posthouse.rules.reading import read_rules
from posthouse.rules.running import conclude, run

HEAD = b"From: a@b.test\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
HTML = HEAD + b"Content-Type: text/html\r\n\r\n"
TEXT = HEAD + b"Content-Type: text/plain; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n"
MOST_SECONDS = 2.0  # of CPU for all of it; alone on a machine it is a tenth of that

LETTERS = {
    "ten thousand parts": HEAD
    + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b\r\nContent-Type: text/plain\r\n\r\npart\r\n" * 10_000,
    "parts within parts": HEAD
    + b"".join(b"Content-Type: multipart/x; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(5_000)),
    "five megabytes in one line": HTML + b"<p>word <b>bold</b> http://a.test/x " * 140_000,
    "a hundred thousand links": HTML
    + b"".join(b'<a href="http://h%d.test/%d">x</a>' % (n, n) for n in range(100_000)),
    "no such charset": TEXT % (b"x-no-such", b"8bit") + bytes(range(128, 256)) * 8_000,
    "a charset of shifts": TEXT % (b"iso-2022-jp", b"7bit") + b"\x1b$B!!\x1b(B" * 100_000,
    "a charset that is none": TEXT % (b"\xff" * 500, b"8bit") + b"\x80" * 100_000,
    "soft breaks": TEXT % (b"utf-8", b"quoted-printable") + b"=41=\r\n" * 400_000,
    "short lines of base64": TEXT % (b"utf-8", b"base64") + b"QQ==\r\n" * 400_000,
    "twenty thousand fields": b"Received: from a.test ([192.0.2.1])\r\n" * 20_000 + HEAD + b"\r\nx",
    "a hundred thousand authors": b"From: " + b"a@b.test, " * 100_000 + b"x@y.test\r\n\r\nx",
    "encoded words": HEAD + b"X: " + b"=?utf-8?q?a?= " * 50_000 + b"\r\n\r\nx",
}  # fmt: skip


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile_rules(read_rules(default_rules()).rules)


@pytest.mark.parametrize("name", list(LETTERS))
def test_what_is_made_to_cost_us_much_costs_little(compiled: Compiled, name: str) -> None:
    octets = LETTERS[name]

    began = time.thread_time()
    ran = run(compiled, Letter(octets=octets))
    list(conclude(compiled, ran, ()))
    tokens = tokens_of(octets)
    digest_of(octets)
    took = time.thread_time() - began

    assert ran.left == frozenset()
    assert len(tokens) <= MAX_TOKENS
    assert took < MOST_SECONDS
