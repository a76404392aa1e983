"""Binary parts become base64, and nothing else changes (RFC 3030 §3)."""

from __future__ import annotations

import email
import email.policy
import secrets
from email.message import EmailMessage

import pytest

from posthouse.mime import Pages
from posthouse.mime.transport import transportable

PICTURE = b"\x89PNG\r\n\x1a\n\0.\r\n.\r\n" + bytes(range(256))
PART = b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n"
TEXT = b"Content-Type: text/plain; charset=utf-8\r\n\r\nh\xc3\xa9llo\r\n"


def converted(octets: bytes) -> bytes:
    return b"".join(transportable(octets))


def mixed(*parts: bytes, encoding: bytes = b"binary") -> bytes:
    head = b"Content-Type: multipart/mixed; boundary=b\r\n"
    head += b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\npreamble\r\n"
    return head + b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\nepilogue\r\n"


def read(octets: bytes) -> EmailMessage:
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_binary_parts_are_base64_and_all_else_stays() -> None:
    before = mixed(TEXT, PART + PICTURE, TEXT)

    after = converted(before)

    parts = list(read(after).iter_parts())
    assert [part["content-transfer-encoding"] for part in parts] == [None, "base64", None]
    assert parts[1].get_payload(decode=True) == PICTURE
    assert b"Content-Transfer-Encoding: 8bit\r\n\r\npreamble\r\n--b\r\n" + TEXT in after
    assert after.endswith(b"\r\n--b\r\n" + TEXT + b"\r\n--b--\r\nepilogue\r\n")
    assert max(map(len, after.split(b"\r\n"))) <= 76


def test_a_message_within_keeps_its_octets_and_its_parts_are_base64() -> None:
    inner = mixed(PART + PICTURE).replace(b"boundary=b", b"boundary=i").replace(b"--b", b"--i")
    before = mixed(
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: BINARY\r\n\r\n" + inner
    )

    after = converted(before)

    [within] = read(after).iter_parts()
    assert within["content-transfer-encoding"] == "8bit"
    [message] = within.iter_parts()
    [picture] = message.iter_parts()
    assert picture.get_payload(decode=True) == PICTURE


@pytest.mark.parametrize(
    "octets",
    [b"", b"x", b"\r\n\r\nbody\r\n", mixed(TEXT, encoding=b"7bit"), TEXT,
     b"Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"],
)  # fmt: skip
def test_what_is_not_binary_is_not_touched(octets: bytes) -> None:
    assert converted(octets) == octets


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 57 * 4096, 57 * 4096 + 1, 700_000])
def test_a_message_of_one_part_is_the_same_behind_it(size: int) -> None:
    octets = secrets.token_bytes(size)
    before = b"Content-Transfer-Encoding: (so it is) Binary\r\nSubject: x\r\n" + PART[:-2] + b"\r\n"

    after = converted(before + octets)

    assert after.count(b"Content-Transfer-Encoding") == 1
    assert read(after)["subject"] == "x"
    assert read(after).get_payload(decode=True) == octets


def test_a_large_one_is_read_by_the_page() -> None:
    before = mixed(TEXT, PART + secrets.token_bytes(900_000), PART + PICTURE)
    pages = Pages(len(before), lambda start, end: before[start:end])

    assert b"".join(transportable(pages)) == converted(before)
    assert max(map(len, transportable(pages))) < 400_000
