"""Laws of surrogates: any octets pass, and no header keeps UTF-8 beyond ASCII."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from posthouse.mime.surrogates import Surrogate, ascii_header

_PIECES = st.sampled_from(
    [b"From: ", b"To: ", b"Subject: ", b"Content-Type: text/plain; name=", b"X: ", b"\r\n", b"\n", b" ",
     b"\t", "ü".encode(), b"\xfc", b'"', b"<a@b>", b"<", b",", b":", b";", b"(", b"=?utf-8?q?", b"\0"]
)  # fmt: skip
_HEADERS = st.lists(_PIECES, max_size=30).map(b"".join) | st.binary(max_size=200)


@given(_HEADERS)
def test_a_header_of_utf8_becomes_one_of_ascii(header: bytes) -> None:
    written = ascii_header(header)

    try:
        header.decode()
    except UnicodeDecodeError:
        return
    assert written.isascii()


@given(_HEADERS, st.binary(max_size=50), st.lists(st.integers(0, 250), max_size=6))
def test_what_is_no_header_stays(header: bytes, body: bytes, cuts: list[int]) -> None:
    octets = header + body
    surrogate = Surrogate([(0, len(header))])
    edges = sorted({0, len(octets), *(min(cut, len(octets)) for cut in cuts)})

    pieces = [surrogate.feed(octets[a:b]) for a, b in pairwise(edges)]

    assert b"".join(pieces) + surrogate.finish() == ascii_header(header) + body
