"""Where the links of a page lead, however its tags are written."""

from __future__ import annotations

import pytest

from posthouse.rules.letter import Letter

PAGE = b"From: a@b.test\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n"


@pytest.mark.parametrize(
    "tag",
    [
        b"<a href='http://bad.test/x'>",
        b'<a href = "http://bad.test/x">',
        b"<a/href=http://bad.test/x>",
        b'<a src="http://good.test" href="http://bad.test/x">',
        b"<a title='" + b"x" * 300 + b"' href='http://bad.test/x'>",
        b"<a title='>' href='http://bad.test/x'>",
        b'say src=" and <a href="http://bad.test/x">',
        b"<a href='//bad.test/x'>",
        b"<a xlink:href='http://bad.test/x'>",
        b"<button formaction='http://bad.test/x'>",
        b"<td background='http://bad.test/x'>",
        b"<img srcset='http://bad.test/x 2x'>",
        b"<p style='background:url(http://bad.test/x)'>",
        b"<meta http-equiv=refresh content='0;url=http://bad.test/x'>",
    ],
)
def test_a_link_is_seen_wherever_it_stands(tag: bytes) -> None:
    assert b"http://bad.test/x" in Letter(octets=PAGE + tag).uri.split(b"\n")
