"""Text for searching: decoded, folded, bounded."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mime import scan, unpack_parts
from posthouse.mime.charsets import codec_of, decode
from posthouse.mime.folding import fold
from posthouse.mime.text import (
    MAX_TEXT_OCTETS,
    decode_words,
    header_lines,
    may_have,
    search_text,
)


def text_of(octets: bytes) -> str:
    return search_text(octets, unpack_parts(scan(octets).parts))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Grüße", "GRÜSSE"),
        ("ﬁn", "FIN"),
        ("e\u0301", "é"),
        ("ÅNGSTRÖM", "ångström"),
        ("ABC", "abc"),
    ],
)
def test_what_a_reader_holds_for_equal_folds_to_the_same(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (b"plain", "plain"),
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe_an?= Anna", "Grüße an Anna"),
        (b"=?utf-8?B?R3LDvMOfZQ==?=", "Grüße"),
        (b"=?iso-8859-1?q?a?= =?iso-8859-1?q?b?=", "ab"),
        (b"=?iso-8859-1?q?a?=  b", "a  b"),
        (b"=?utf-8*de?q?=C3=BC?=", "ü"),
        (b"=?unknown?q?=FC?=", "ü"),
        (b"=?utf-8?b?!!!?=", ""),
        ("Grüße".encode(), "Grüße"),
        (b"Gr\xfc\xdfe", "Grüße"),
        (b"=?broken", "=?broken"),
    ],
)
def test_encoded_words(field: bytes, text: str) -> None:
    assert decode_words(field) == text


def test_header_lines() -> None:
    lines = list(header_lines(b"Subject: =?utf-8?q?GR=C3=9C?=\r\n SSE\r\nX: y\r\nrubbish\r\n\r\n"))

    assert lines == [("subject", fold("grü sse")), ("x", "y")]


def test_text_parts_are_decoded_and_others_are_not() -> None:
    octets = (
        b"Subject: not the body\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe, sof=\r\nt\r\n"
        b"--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        b"PHA+c2VjcmV0PC9wPiAmYW1wOyA8c2NyaXB0PmhpZGRlbjwvc2NyaXB0PjwhLS1oaWRkZW4tLT4=\r\n"
        b"--b\r\nContent-Type: image/png; name=Holiday.png\r\n\r\nbinary\r\n--b--\r\n"
    )
    text = text_of(octets)

    assert fold("Grüße, soft") in text
    assert "secret" in text
    assert "holiday.png" in text
    assert "&" in text
    assert not {"<p>", "hidden", "binary", "not the body", "&amp;"} & set(text.split())
    assert "hidden" not in text
    assert "binary" not in text
    assert "not the body" not in text


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        (b"UTF-8", "utf_8"),
        (b"ISO-8859-15", "iso8859_15"),
        (b"iso-8859-8-i", "iso8859_8"),
        (b"windows-1252", "cp1252"),
        (b"ks_c_5601-1987", "cp949"),
        (b"punycode", None),
        (b"zlib", None),
        (b"unicode_escape", None),
        (b"\0", None),
        (b"", None),
    ],
)
def test_only_charsets_of_mail_are_known(charset: bytes, codec: str | None) -> None:
    assert codec_of(charset) == codec


def test_octets_that_are_not_in_their_charset_become_some_text() -> None:
    assert decode(b"\xfc", b"utf-8") == "ü"
    assert decode("ü".encode(), b"us-ascii") == "ü"
    assert decode(b"\x1b$B\x46\x7c\x1b(B", b"iso-2022-jp") == "日"


def test_text_beyond_the_limit_is_not_searched() -> None:
    octets = b"\r\n" + b"a" * MAX_TEXT_OCTETS + b"needle"

    assert "needle" not in text_of(octets)


@pytest.mark.parametrize(
    "page",
    [
        b"<!--" * 300_000,
        b"<script" * 200_000,
        b"</style " * 200_000,
        b"<a" * 600_000,
        b"&#" + b"9" * 1_000_000 + b";",
        b"&#9" * 300_000,
        b"=?" * 600_000,
        b"=?utf-8?q?" * 100_000,
    ],
)
def test_rubbish_costs_little(page: bytes) -> None:
    begin = time.process_time()
    text_of(b"Content-Type: text/html\r\n\r\n" + page)
    decode_words(page)

    assert time.process_time() - begin < 3


_PIECES = st.sampled_from(
    [b"From: ", b"Subject:", b"Anna", b"ADLER", b" ", b"\t", b"\r\n", b"\n", b"\r", b":", b"=?", b"\x1b$B",
     b"=?utf-8?q?=C3=BC?=", b"=?us-ascii?q?anna?=", b"\0", "\u00dc".encode(), b"\xff", b"<a@b>",
     b"\x1c", b"\x0b", b"Content-Type: a/b;", b"; name*0=x", b"; name*1*=%41"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=12).map(b"".join), st.data())
def test_what_a_header_has_it_may_have(header: bytes, data: st.DataObject) -> None:
    for _, text in header_lines(header):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, len(text)))

        assert may_have(header, text[start:end])


def test_a_plain_header_has_not_what_is_not_written_in_it() -> None:
    header = b"From: Anna\r\n Adler <anna@example.test>\r\n\r\n"

    assert may_have(header, fold("anna adler <"))
    assert not may_have(header, fold("bert"))
    assert not may_have(header, fold("Ännä"))
    assert may_have(b"Subject: =?utf-8?q?x?=\r\n", "anything")
