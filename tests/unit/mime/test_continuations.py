"""Parameters of RFC 2231, joined as its §6 says, and decoded as RFC 9051 §7.5.2 does."""

from __future__ import annotations

from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mime.continuations import join_continuations, join_encoded
from posthouse.mime.parameters import Parameters, parse_content_type


def parsed(parameters: bytes) -> Parameters:
    found = parse_content_type(b"a/b; " + parameters)
    assert found is not None
    return found.parameters


@pytest.mark.parametrize(("given", "told"), [
    # RFC 9051 §7.5.2
    (b"baz*0=a; baz*1=b; baz*2=c", [(b"baz", b"abc")]),
    (b"foo*0*=utf-8''%C3; foo*1*=%BC", [(b"foo*", "ü".encode())]),
    # RFC 2231 §3, §4, §4.1
    (
        b'access-type=URL; URL*0="ftp://"; URL*1="cs.utk.edu/pub/moore/bulk-mailer.tar"',
        [(b"access-type", b"URL"), (b"url", b"ftp://cs.utk.edu/pub/moore/bulk-mailer.tar")],
    ),
    (
        b"title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
        [(b"title*", b"This is ***fun***")],
    ),
    (
        (
            b"title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; "
            b'title*2="isn\'t it!"'
        ),
        [(b"title*", b"This is even more ***fun*** isn't it!")],
    ),
    # other orders, charsets and forms
    (b"x*1=b; y=z; x*0=a", [(b"x", b"ab"), (b"y", b"z")]),
    (b"x*=iso-8859-1''%FC", [(b"x*", "ü".encode())]),
    (b"x*=%C3%BC", [(b"x*", "ü".encode())]),
    (b"x=plain; x*=utf-8''%C3%BC", [(b"x", b"plain"), (b"x*", "ü".encode())]),
    # a charset's character may be cut in two
    (b"x*0*=shift_jis''%93; x*1*=%FA", [(b"x*", "日".encode())]),
    # what belongs to nothing stays
    (b"x*1=b", [(b"x*1", b"b")]),
    (b"x*0=a; x*2=c", [(b"x", b"a"), (b"x*2", b"c")]),
    (b"x=p; x*0=a", [(b"x", b"p"), (b"x*0", b"a")]),
    (b"x*0=a; x*0=b", [(b"x", b"a"), (b"x*0", b"b")]),
    (b"x*=klingon''%FC", [(b"x*", b"klingon''%FC")]),
    (b"x*0000000000=a", [(b"x*0000000000", b"a")]),
])  # fmt: skip
def test_sections_become_one_value(given: bytes, told: list[tuple[bytes, bytes]]) -> None:
    assert list(join_continuations(parsed(given))) == told


@pytest.mark.parametrize(("given", "told"), [
    (b"baz*0=a; y=z; baz*1=b", [(b"baz", b"ab"), (b"y", b"z")]),
    (b"foo*0*=utf-8'de'%C3; foo*1*=%BC", [(b"foo*", b"utf-8'de'%C3%BC")]),
    # RFC 2231 §4.1; what was plain is encoded (§7)
    (
        (
            b"title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; "
            b'title*2="isn\'t it!"'
        ),
        [(b"title*", b"us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn%27t%20it!")],
    ),
    (b'x*0="50% "; x*1*=%41', [(b"x*", b"''50%25%20%41")]),
    (b"x*=klingon''%FC", [(b"x*", b"klingon''%FC")]),
    (b"x*0*=klingon''%FC; x*1*=%FD", [(b"x*", b"klingon''%FC%FD")]),
    (b"x=p; x*0=a; x*1=b", [(b"x", b"p"), (b"x*0", b"a"), (b"x*1", b"b")]),
])  # fmt: skip
def test_sections_become_one_encoded_value(given: bytes, told: list[tuple[bytes, bytes]]) -> None:
    assert list(join_encoded(parsed(given))) == told


VALUES = st.one_of(
    st.tuples(st.just("*"), st.binary().map(lambda value: quote_from_bytes(value, safe="!#"))),
    st.tuples(st.just(""), st.text(st.characters(max_codepoint=127), max_size=9)),
)


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_what_was_joined_is_decoded_as_its_sections_would_be(values: list[tuple[str, str]]) -> None:
    sections = [
        (
            f"a*{number}{star}".encode(),
            ("utf-8''" * (not number) * bool(star) + value).encode(),
        )
        for number, (star, value) in enumerate(values)
    ]
    assert join_continuations(join_encoded(tuple(sections))) == join_continuations(tuple(sections))


NAMES = st.sampled_from(
    [b"a", b"a*", b"a*0", b"a*0*", b"a*1", b"a*1*", b"a*2", b"b*0", b"*", b"a**"]
)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=20)), max_size=12).map(tuple))
def test_any_parameters_give_values_in_utf_8(parameters: tuple[tuple[bytes, bytes], ...]) -> None:
    told = join_continuations(parameters)
    assert len(told) <= len(parameters)
    for name, value in set(told) - set(parameters):
        assert name in {b"a", b"a*", b"b"}
        value.decode()
    assert join_continuations(()) == ()
