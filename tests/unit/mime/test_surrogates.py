"""Surrogates of internationalized messages (RFC 6858)."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage

from hypothesis import given
from hypothesis import strategies as st

from posthouse.mime.structure import read_tree
from posthouse.mime.surrogates import MAX_FIELD_OCTETS, Surrogate, ascii_header

LETTER = (
    "From: Jürgen <jürgen@bücher.test>\r\n"
    'To: "Anna B." <anna@example.test>, Böll <boell@example.test>\r\n'
    "Message-ID: <ü@example.test>\r\n"
    "Subject: Grüße aus\r\n Köln\r\n"
    "X-Plain: as it was\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n"
    '\r\n--b\r\nContent-Disposition: attachment; filename="Straße.txt"\r\n\r\nblä\r\n--b--\r\n'
).encode()
HEADERS = [(0, LETTER.index(b"\r\n\r\n") + 4)]
HEADERS.append((LETTER.index(b"--b\r\n") + 5, LETTER.index("blä".encode())))


def read(octets: bytes) -> EmailMessage:
    found = message_from_bytes(octets, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def test_what_people_read_is_kept_and_no_address_is_guessed() -> None:
    surrogate = Surrogate(HEADERS)
    written = surrogate.feed(LETTER) + surrogate.finish()

    header, _, body = written.partition(b"\r\n\r\n")
    assert header.isascii()
    assert b"X-Plain: as it was\r\n" in written
    message = read(written)
    assert message["Subject"] == "Grüße aus Köln"
    assert message["From"].addresses[0].display_name == "Jürgen (jürgen@bücher.test)"
    assert message["From"].addresses[0].addr_spec == "invalid@internationalized.invalid"
    assert [one.addr_spec for one in message["To"].addresses] == [
        "anna@example.test",
        "boell@example.test",
    ]
    assert [one.display_name for one in message["To"].addresses] == ["Anna B.", "Böll"]
    assert message["Message-ID"] is None
    [part] = message.iter_parts()
    assert part.get_filename() == "Straße.txt"
    assert "blä".encode() in body


def test_latin_letters_of_no_named_charset_stay() -> None:
    header = b"Subject: Gr\xfc\xdfe\r\nFrom: a@b.test\r\n\r\n"

    assert ascii_header(header) == header


def test_a_field_without_end_is_not_held() -> None:
    octets = b"Subject: " + "ü".encode() * MAX_FIELD_OCTETS + b"\r\nTo: a@b.test\r\n\r\n"
    surrogate = Surrogate([(0, len(octets))])

    written = b"".join(surrogate.feed(octets[at : at + 1000]) for at in range(0, len(octets), 1000))

    assert written.isascii()
    assert written.endswith(b"?\r\nTo: a@b.test\r\n\r\n")


@given(st.lists(st.sampled_from([*LETTER.splitlines(keepends=True), b" folded\r\n", b"\xfc", b"\n"]),
                max_size=20), st.integers(1, 50))  # fmt: skip
def test_however_octets_are_cut_the_surrogate_is_the_same(lines: list[bytes], size: int) -> None:
    octets = b"".join(lines)
    root = read_tree(octets)
    headers = [(root.start, root.body)]
    whole, cut = Surrogate(headers), Surrogate(headers)

    pieces = [cut.feed(octets[at : at + size]) for at in range(0, len(octets), size)]

    assert b"".join(pieces) + cut.finish() == whole.feed(octets) + whole.finish()
