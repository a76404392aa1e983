"""Parameters of RFC 2231, joined as RFC 9051 §7.5.2 says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mime.continuations import join_continuations
from posthouse.mime.parameters import parse_content_type


def joined(parameters: bytes) -> list[tuple[bytes, bytes]]:
    parsed = parse_content_type(b"a/b; " + parameters)
    assert parsed is not None
    return list(join_continuations(parsed.parameters))


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
    assert joined(given) == told


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
