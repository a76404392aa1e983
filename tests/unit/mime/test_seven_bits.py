"""8-bit parts are encoded, and whoever decodes them reads the same (RFC 6152 §3)."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mime import Pages
from posthouse.mime.encodings import PORTION_OCTETS, in_base64, in_quoted_printable
from posthouse.mime.transport import Unconvertible, in_seven_bits

WIDE = "Grüße an alle, die das hier lesen ".encode()
TEXT = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"


def converted(octets: bytes) -> bytes:
    return b"".join(in_seven_bits(octets))


def many(kind: bytes, *parts: bytes, boundary: bytes = b"b", encoding: bytes = b"8bit") -> bytes:
    head = b"Content-Type: multipart/%s; boundary=%s\r\n" % (kind, boundary)
    head += b"Content-Transfer-Encoding: %s\r\n\r\npreamble\r\n" % encoding
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary, part) for part in parts)
    return head + body + b"--%s--\r\nepilogue\r\n" % boundary


def read(octets: bytes) -> list[tuple[str, bytes]]:
    """Return the type and the decoded content of all parts, as Python's own library reads them."""

    def leaves(message: Message) -> Iterator[tuple[str, bytes]]:
        for part in message.walk():
            if not part.is_multipart():
                content = part.get_payload(decode=True)
                assert isinstance(content, bytes)
                yield part.get_content_type(), content

    return list(leaves(email.message_from_bytes(octets, policy=email.policy.compat32)))


def test_each_part_gets_what_is_shorter_and_ascii_stays() -> None:
    picture = (
        b"Content-Type: image/png\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + b"\xe9\r\n" * 99
    )
    plain = b"Content-Type: text/html\r\n\r\n<p>plain</p>\r\n"
    before = b"Subject: Gr\xc3\xbc\xc3\x9fe\r\n" + many(b"mixed", TEXT + WIDE, plain, picture)

    after = converted(before)

    encodings = [
        part["content-transfer-encoding"] for part in email.message_from_bytes(after).walk()
    ]
    assert encodings == ["7bit", "quoted-printable", None, "base64"]
    assert read(after) == read(before)
    assert after.startswith(b"Subject: Gr\xc3\xbc\xc3\x9fe\r\n")
    assert plain in after
    assert after.endswith(b"--b--\r\nepilogue\r\n")


def test_messages_within_and_multiparts_in_multiparts_are_reached() -> None:
    inner = many(b"alternative", TEXT + WIDE, TEXT + WIDE * 30, boundary=b"i")
    within = (
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: x\r\n"
    )
    before = many(b"mixed", inner, within + inner.replace(b"--i", b"--j").replace(b"=i", b"=j"))

    after = converted(before)

    assert after.isascii()
    assert b"8bit" not in after
    assert read(after) == read(before)
    assert len(read(after)) == 4


def test_a_message_without_mime_gets_as_much_as_it_needs() -> None:
    after = converted(b"Subject: x\r\n\r\n" + WIDE + b"\r\n")

    assert after == (
        b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"Gr=C3=BC=C3=9Fe an alle, die das hier lesen=20\r\n"
    )


def test_a_part_without_a_header_gets_one_field() -> None:
    after = converted(many(b"mixed", b"\r\n" + WIDE))

    assert b"--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3" in after
    assert b"MIME-Version" not in after


def test_what_is_signed_stays_octet_for_octet_beside_what_is_converted() -> None:
    signed = many(b"signed", b"\r\nsigned \r\n", b"\r\nkey", boundary=b"s", encoding=b"7bit")

    after = converted(many(b"mixed", signed, TEXT + WIDE))

    assert signed in after
    assert after.isascii()


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (many(b"signed", TEXT + WIDE, b"\r\nkey"), "multipart/signed"),
        (many(b"mixed", many(b"signed", b"\r\n\xff", boundary=b"s")), "multipart/signed"),
        (b"Content-Type: message/partial\r\n\r\n\xff", "message/partial"),
        (b"Content-Transfer-Encoding: BASE64\r\n\r\nAAA\xff", "base64"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n\xff without parts", "told apart"),
    ],
)  # fmt: skip
def test_what_must_not_be_changed_is_refused(octets: bytes, why: str) -> None:
    with pytest.raises(Unconvertible, match=why):
        converted(octets)


@pytest.mark.parametrize(
    "octets",
    [b"", b"x", b"\r\n\r\nbody\r\n", many(b"mixed", b"\r\nx", encoding=b"7bit"),
     b"Subject: Gr\xc3\xbc\xc3\x9fe\r\n\r\nGruesse\r\n"],
)  # fmt: skip
def test_what_has_no_eight_bit_part_is_not_touched(octets: bytes) -> None:
    assert converted(octets) == octets


LINES = st.lists(st.sampled_from([b"\r\n", b"=", b" ", b"\t", b".", b"\r", b"\n", WIDE, b"\x00",
                                  b"From x", b"--b", b"a" * 74, b"b" * 75, b"c" * 1001]), max_size=40)  # fmt: skip
CONTENTS = st.one_of(LINES.map(b"".join), st.binary(max_size=300))


@given(CONTENTS, CONTENTS)
def test_readers_find_the_same_content_and_servers_seven_bits(first: bytes, second: bytes) -> None:
    first, second = (each.replace(b"--", b"-") + "ü".encode() for each in (first, second))
    inner = b"Content-Type: message/rfc822\r\n\r\nSubject: within\r\n\r\n" + second
    before = many(b"mixed", TEXT + first, inner)

    after = converted(before)

    assert after.isascii()
    assert max(map(len, after.split(b"\r\n"))) <= 76
    assert read(after) == read(before)


@given(st.binary(), st.sampled_from([in_base64, in_quoted_printable]))
def test_any_octets_are_encoded_and_not_one_is_lost(octets: bytes, encoder: object) -> None:
    assert callable(encoder)
    name = {in_base64: "base64", in_quoted_printable: "quoted-printable"}[encoder]

    encoded = b"".join(encoder(octets, 0, len(octets)))

    head = f"Content-Transfer-Encoding: {name}\r\n\r\n".encode()
    assert read(head + encoded)[0][1] == octets
    assert all(len(line) <= 76 and line == line.rstrip() for line in encoded.split(b"\r\n"))


@given(CONTENTS)
def test_any_octets_are_converted_or_refused(octets: bytes) -> None:
    try:
        after = converted(octets)
    except Unconvertible:
        return
    header = after.partition(b"\r\n\r\n")[0]
    assert after[len(header) :].isascii() or b"--" in octets


@pytest.mark.parametrize(
    "piece", [b"\xc3\xbc" * 50 + b"\r\n", b"ab=\xff\r", b"text \r\n" * 9 + b"\xff"]
)
def test_a_large_one_is_read_and_written_by_the_portion(piece: bytes) -> None:
    content = piece * (3 * PORTION_OCTETS // len(piece))
    before = many(b"mixed", TEXT + content, TEXT + WIDE)
    pages = Pages(len(before), lambda start, end: before[start:end])

    portions = list(in_seven_bits(pages))

    assert max(map(len, portions)) < 4 * PORTION_OCTETS
    assert read(b"".join(portions)) == read(before)
    assert max(map(len, b"".join(portions).split(b"\r\n"))) <= 76
