"""BODYSTRUCTURE for IMAP4rev2: everything as it was but parameters of RFC 2231."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imap_gateway.view.sections import read_tree, without_extensions
from imap_gateway.view.structures import with_joined_parameters
from posthouse.mime import scan

PARTS = (
    b"Content-Type: multipart/mixed; boundary=b; x*0=1; x*1=2\r\n\r\n"
    b'--b\r\nContent-Type: text/plain; charset=utf-8; name*0*=utf-8\'\'%C3%A4; name*1="\\""\r\n'
    b'Content-Disposition: attachment; filename*0="long "; filename*1=name\r\n\r\na\r\n'
    b"--b\r\nContent-Type: message/rfc822\r\n\r\n"
    b'From: "x*0" <a@b>, "*" <c@d>\r\nContent-Type: a/b; n*=iso-8859-1\'\'%FC\r\n\r\nx\r\n'
    b"--b\r\nContent-Type: application/x; t*=utf-8''a%0D%0Ab%00\r\n\r\n--b--\r\n"
)


def test_parameters_are_decoded_wherever_they_stand() -> None:
    raw = scan(PARTS).bodystructure
    assert raw.count(b'"x" "12"') == raw.count(b'"filename" "long name"') == 1
    joined = with_joined_parameters(raw)
    assert joined == (
        raw.replace(b'"name*" "utf-8\'\'%C3%A4%22"', '"name*" "ä\\""'.encode())
        .replace(b'"n*" "iso-8859-1\'\'%FC"', '"n*" "ü"'.encode())
        .replace(b'"t*" "utf-8\'\'a%0D%0Ab%00"', '"t*" {7}\r\na\r\nb\ufffd'.encode())
    )
    assert joined.count(b'"x*0"') == 3  # the name of an address: From, Sender, Reply-To
    assert with_joined_parameters(joined) == joined
    assert without_extensions(joined).startswith(b'(("text" "plain" ("charset"')


def test_what_has_no_sections_is_left_alone() -> None:
    raw = scan(b"Content-Type: text/plain; name=\xff\r\n\r\nx").bodystructure
    assert with_joined_parameters(raw) is raw


@given(st.lists(st.sampled_from([
    b"Content-Type: text/plain; a*=b; a*0=\xff; a*1*=\"'\\\"'%00\"\r\n",
    b"Content-Type: multipart/mixed; boundary=b*; c*0=d\r\n",
    b"Content-Type: message/rfc822; x*0=y\r\n",
    b"Content-Disposition: x; y*=z\r\n",
    b"Content-Disposition: x\r\n", b"Content-Language: a*, b*\r\n", b"Subject: *\r\n",
    b"\r\n", b"--b*\r\n", b"--b*--\r\n", b"From: a*\r\n",
]), max_size=30).map(b"".join))  # fmt: skip
def test_any_message_has_a_structure(message: bytes) -> None:
    read_tree(with_joined_parameters(scan(message).bodystructure))
