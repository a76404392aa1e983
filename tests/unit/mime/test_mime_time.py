"""Time linear in the octets, whatever they are: nobody stops us with a message."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from posthouse.mime import scan, unpack_parts

MIB = 1_048_576
MULTIPART = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"


def _nested(levels: int) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=b%s\r\n\r\n--b%s\r\n" % (b"a" * n, b"a" * n)
        for n in range(levels)
    )


CASES: dict[str, Callable[[], bytes]] = {
    "10 MiB of text": lambda: b"Subject: x\r\n\r\n" + b"x" * 76 * 140_000,
    "10 MiB of lines": lambda: b"\r\n" + b"\r\n" * 5 * MIB,
    "100,000 parts": lambda: MULTIPART + b"--b\r\n\r\nx\r\n" * 100_000,
    "100,000 headers without an empty line": lambda: MULTIPART + b"--b\r\nX: y\r\n" * 100_000,
    "200,000 fields": lambda: b"Subject: x\r\n" * 200_000,
    "200,000 other fields": lambda: b"X-Y: x\r\n" * 200_000,
    "a field of 200,000 lines": lambda: b"Subject:\r\n" + b" x\r\n" * 200_000,
    "100,000 addresses": lambda: b"To: " + b"a@example.test, " * 100_000,
    "100,000 fields with an address": lambda: b"To: a@example.test\r\n" * 100_000,
    "100,000 odd addresses": lambda: b"To: (c)" + b'"a" <a@x> (c), ' * 100_000,
    "a million spaces": lambda: b"To: a," + b" " * MIB + b"(",
    "a million quotes": lambda: b"To: " + b'"' * MIB,
    "a million brackets": lambda: b"To: " + b"<" * MIB,
    "a million parentheses": lambda: b"To: " + b"(" * MIB,
    "a million semicolons": lambda: b"Content-Type: text/plain" + b";" * MIB,
    "100,000 parameters": lambda: b"Content-Type: text/plain" + b"; a=b" * 100_000,
    "open quotes in parameters": lambda: b"Content-Type: text/plain" + b'; a="' * 200_000,
    "comments in parameters": lambda: b"Content-Type: text/plain" + b"(" * MIB,
    "backslashes in parameters": lambda: b'Content-Type: text/plain; a="' + b"\\" * MIB,
    "false delimiters": lambda: MULTIPART + b"--bx\r\n" * 500_000,
    "false delimiters at depth": lambda: _nested(30) + b"--b" + b"--baaaax\r\n" * 300_000,
    "delimiters followed by spaces": lambda: MULTIPART + (b"--b" + b" " * 1000 + b"\r\n") * 5000,
    "messages in messages": lambda: b"Content-Type: message/rfc822\r\n\r\n" * 100_000,
    "lines in messages in messages": lambda: (
        b"Content-Type: message/rfc822\r\n\r\n" * 30 + b"\r\n" + b"\n" * 10 * MIB
    ),
    "10 MiB at depth": lambda: _nested(30) + b"\r\n" + b"x\r\n" * 3 * MIB,
}


@pytest.mark.parametrize("name", CASES)
def test_the_worst_costs_seconds_at_most(name: str) -> None:
    octets = CASES[name]()
    begin = time.process_time()

    unpack_parts(scan(octets).parts)

    assert time.process_time() - begin < 3


@pytest.mark.parametrize("name", ["100,000 parts", "10 MiB of lines", "200,000 fields"])
def test_twice_as_much_takes_about_twice_as_long(name: str) -> None:
    octets = CASES[name]()
    half = octets[: len(octets) // 2]

    assert _seconds(octets) < 6 * max(_seconds(half), 0.02)


def _seconds(octets: bytes) -> float:
    begin = time.process_time()
    scan(octets)
    return time.process_time() - begin
