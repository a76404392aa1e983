"""What a body has is what its folded text has, found without folding it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mime import scan, sifting, unpack_parts
from posthouse.mime.folding import fold
from posthouse.mime.sifting import body_has
from posthouse.mime.text import search_text

_BODIES = st.sampled_from(
    [b"Anna", b"ADLER", b" ", b"\t", b"\r\n", b"=\r\n", b"=20", b" \r\n", b"\0", b"\x1b$B", b"\x1c",
     "Stra\u00dfe".encode(), "\ufb01n".encode(), "e\u0301\u00e9".encode(), "\u6771\u4eac".encode(), b"\xff",
     b"<b>", b"</b>", b"<!--", b"&#65;", b"&auml;", b"+AGEAYg-", b"~{<:Ky~}", b"\r\n--x\r\n", b"\r\n\r\n",
     b"Content-Type: text/plain; name*0*=utf-8''%41nn; name*1=a\r\n", b"Subject: =?utf-8?q?Anna?=\r\n"]
)  # fmt: skip
_KINDS = st.sampled_from(
    [b"", b"text/plain; charset=utf-8", b"text/plain; charset=utf-7", b"text/plain; charset=hz",
     b"text/plain; charset=utf-16", b"text/plain; format=flowed; delsp=yes", b"text/plain; format=flowed",
     b"text/html", b"text/html; charset=iso-8859-1", b"multipart/mixed; boundary=x", b"message/rfc822"]
)  # fmt: skip
_ENCODINGS = st.sampled_from([b"", b"7bit", b"quoted-printable", b"base64"])


@given(_KINDS, _ENCODINGS, st.lists(_BODIES, max_size=15).map(b"".join), st.data())
def test_a_body_has_what_its_folded_text_has(
    kind: bytes, encoding: bytes, body: bytes, data: st.DataObject
) -> None:
    octets = b"Content-Type: %b\r\nContent-Transfer-Encoding: %b\r\n\r\n%b" % (kind, encoding, body)
    parts = unpack_parts(scan(octets).parts)
    folded = search_text(octets, parts).replace("\0", " ")
    wanted = ["anna", "nna a", "\u00e4", "e", ""]
    for _ in range(5):
        start = data.draw(st.integers(0, len(folded)))
        wanted.append(folded[start : data.draw(st.integers(start, len(folded)))].split("\n")[0])

    assert body_has(octets, parts, wanted) == {text for text in wanted if text in folded}


@pytest.mark.parametrize("wanted", ["xylotherapy", "rare word", "stra\u00dfe"])
def test_ascii_without_a_text_is_not_folded(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    octets = b"Subject: x\r\n\r\nA report on the RARE budget\r\n"

    def folded(text: str) -> str:
        raise AssertionError(text)

    monkeypatch.setattr(sifting, "fold", folded)
    assert body_has(octets, unpack_parts(scan(octets).parts), [fold(wanted), "report"]) == {
        "report"
    }
