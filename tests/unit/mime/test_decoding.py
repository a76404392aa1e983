from __future__ import annotations

import base64
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mime.decoding import Base64, Decoder, QuotedPrintable
from posthouse.mime.encodings import in_base64, in_quoted_printable


def cut(octets: bytes, step: int) -> list[bytes]:
    return [octets[at : at + step] for at in range(0, len(octets), step)]


def through(decoder: Decoder, portions: list[bytes]) -> bytes:
    return b"".join([*map(decoder.feed, portions), decoder.end()])


@given(st.binary(max_size=300), st.integers(1, 50))
def test_what_was_encoded_comes_back_however_it_is_cut(octets: bytes, step: int) -> None:
    packed = b"".join(in_base64(octets, 0, len(octets)))
    quoted = b"".join(in_quoted_printable(octets, 0, len(octets)))

    assert through(Base64(), cut(packed, step)) == octets
    assert through(QuotedPrintable(), cut(quoted, step)) == octets


@given(st.binary(max_size=100), st.integers(1, 20))
def test_any_octets_decode_the_same_however_they_are_cut(octets: bytes, step: int) -> None:
    assert through(Base64(), cut(octets, step)) == through(Base64(), [octets])
    through(QuotedPrintable(), cut(octets, step))


@pytest.mark.parametrize("step", [1, 3, 100])
@pytest.mark.parametrize(
    ("octets", "decoded"),
    [
        (b"YWJj\r\nZGVm\r\n", b"abcdef"),
        (b"YWI=\r\n", b"ab"),
        (b"YWI", b"ab"),
        (b"Y!W\r\nJj", b"abc"),
        (b"YWI=YWI=", b"ab"),
        (b"YWJjZ", b"abc"),
        (b"", b""),
    ],
)
def test_base64_ends_with_its_padding(octets: bytes, decoded: bytes, step: int) -> None:
    assert through(Base64(), cut(octets, step)) == decoded


@pytest.mark.parametrize("step", [1, 2, 5, 100])
@pytest.mark.parametrize(
    ("octets", "decoded"),
    [
        (b"a=3Db=\r\nc\r\n", b"a=bc\r\n"),
        (b"caf=C3=A9 \r\n", "café\r\n".encode()),
        (b"a=", b"a"),
        (b"a=20\r\n", b"a \r\n"),
    ],
)
def test_quoted_printable_is_read(octets: bytes, decoded: bytes, step: int) -> None:
    assert through(QuotedPrintable(), cut(octets, step)) == decoded


def test_both_are_what_the_library_says() -> None:
    octets = bytes(range(256)) * 30

    assert through(Base64(), [base64.encodebytes(octets)]) == octets
    assert through(QuotedPrintable(), [quopri.encodestring(octets)]) == octets
