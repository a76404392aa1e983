"""The first words of messages, of whatever octets they are made."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from posthouse.mime import scan, unpack_parts
from posthouse.mime.previews import MAX_CHARACTERS, preview


def of(octets: bytes) -> str:
    return preview(octets, unpack_parts(scan(octets).parts))


def test_own_words_go_before_quoted_ones() -> None:
    assert (
        of(b"Subject: x\r\n\r\n> You said:\r\n> no\r\n\r\nYes,\r\n\tindeed.\r\n") == "Yes, indeed."
    )
    assert of(b"Subject: x\r\n\r\n> all is quoted\r\n") == "> all is quoted"


def test_plain_text_goes_before_html_and_attachments_are_none() -> None:
    boundary = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    page = b"--b\r\nContent-Type: text/html\r\n\r\n<p>page &lt;1&gt;</p>\r\n"
    file = b"--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nfile\r\n"
    text = b"--b\r\n\r\ntext\r\n"

    assert of(boundary + page + text + b"--b--\r\n") == "text"
    assert of(boundary + file + page + b"--b--\r\n") == "page <1>"
    assert of(boundary + file + b"--b--\r\n") == ""


def test_encodings_are_undone_and_long_texts_cut() -> None:
    head = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "

    assert of(head + b"quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n") == "Grüße"
    assert of(head + b"base64\r\n\r\nR3LDvMOfZQ==\r\n") == "Grüße"
    assert len(of(b"\r\n" + b"word " * 1000)) <= MAX_CHARACTERS


@given(st.binary(max_size=2000))
def test_any_octets_have_a_preview_that_is_text(octets: bytes) -> None:
    words = of(octets)

    assert len(words) <= MAX_CHARACTERS
    assert words.isprintable()
    words.encode()
