"""Any piece of regular base64 is decoded from its own octets alone."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mime.decoding import Base64
from posthouse.mime.lines import MAX_TAIL_OCTETS, MAX_WIDTH, LineFinder, Lines


def find(encoded: bytes, portion: int = 1000) -> Lines | None:
    finder = LineFinder()
    for at in range(0, len(encoded), portion):
        finder.feed(encoded[at : at + portion])
    return finder.found()


def decode(encoded: bytes) -> bytes:
    decoder = Base64()
    return decoder.feed(encoded) + decoder.end()


def in_lines(octets: bytes, width: int) -> bytes:
    text = base64.b64encode(octets)
    return b"".join(text[at : at + width] + b"\r\n" for at in range(0, len(text), width))


@given(
    octets=st.binary(min_size=60, max_size=400),
    width=st.sampled_from([4, 8, 60, 76]),
    tail=st.sampled_from([b"", b"\r\n", b"-- \r\nno base64", b"===="]),
    portion=st.integers(1, 300),
    data=st.data(),
)
def test_pieces_are_those_of_the_whole(
    octets: bytes, width: int, tail: bytes, portion: int, data: st.DataObject
) -> None:
    encoded = in_lines(octets, width) + tail
    whole = decode(encoded)
    lines = find(encoded, portion)
    assert lines is not None
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))

    first, last, skipped = lines.encoded(start, end)

    assert decode(encoded[first:last])[skipped : skipped + end - start] == whole[start:end]


def test_a_piece_takes_no_more_than_its_groups() -> None:
    octets = random.Random(1).randbytes(57 * 100)  # noqa: S311 - no secret
    lines = find(in_lines(octets, 76))
    assert lines == Lines(76, 100, 7800)
    assert lines.encoded(57, 114) == (78, 156, 0)
    assert lines.encoded(58, 60) == (78, 82, 1)


def test_nothing_is_asked_of_nothing() -> None:
    lines = Lines(76, 100, 7800)
    first, last, _ = lines.encoded(30, 30)
    assert last - first == 0


LINE = b"QUJD" * 19 + b"\r\n"


@pytest.mark.parametrize("encoded", [
    b"",
    b"QUJD" * 100_000,  # no lines
    b"QUJ\r\n" * 1000,  # no whole groups
    b"\r\n" + LINE * 1000,
    b"Q" * (MAX_WIDTH + 4) + b"\r\n",
    LINE + b"QUJD\r\n" + LINE * (MAX_TAIL_OCTETS // len(LINE)),  # too much behind the odd one
    LINE.replace(b"\r", b"") * 1000,
])  # fmt: skip
def test_what_is_not_regular_is_said_to_be_so(encoded: bytes) -> None:
    assert find(encoded) is None


@pytest.mark.parametrize("odd", [
    b"QUJD" * 18 + b"QU==\r\n",
    b"QUJD" * 18 + b"QU D\r\n",
    b"QUJD" * 18 + b"Q\r\nD\r\n",
    b"QUJD" * 18 + b"QUJDQU",
])  # fmt: skip
def test_an_odd_line_belongs_to_the_tail(odd: bytes) -> None:
    lines = find(LINE * 500 + odd)
    assert lines is not None
    assert lines.count == 500
