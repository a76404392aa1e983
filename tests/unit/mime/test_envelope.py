"""ENVELOPE as it goes on the wire (RFC 3501 §7.4.2)."""

from __future__ import annotations

import pytest

from posthouse.mime import scan
from posthouse.mime.addresses import GROUP_END, Mailbox, parse_addresses
from posthouse.mime.wire import string


def envelope(header: str) -> bytes:
    return scan(header.replace("\n", "\r\n").encode("utf-8", "surrogateescape") + b"\r\n").envelope


def test_all_fields() -> None:
    assert envelope(
        "Date: Sun, 22 Nov 2026 01:00:00 +0000\nSubject: a\n folded\n\tone\nFrom: A <a@x>\n"
        "Sender: s@x\nReply-To: r@x\nTo: t@x, u@x\nCc: c@x\nBcc: b@x\n"
        "In-Reply-To: <1@x>\nMessage-ID: <2@x>\n"
    ) == (
        b'("Sun, 22 Nov 2026 01:00:00 +0000" "a folded\tone" (("A" NIL "a" "x")) ((NIL NIL "s" "x"))'
        b' ((NIL NIL "r" "x")) ((NIL NIL "t" "x")(NIL NIL "u" "x")) ((NIL NIL "c" "x"))'
        b' ((NIL NIL "b" "x")) "<1@x>" "<2@x>")'
    )


def test_nothing_at_all() -> None:
    assert envelope("") == b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"


def test_empty_fields_are_empty_strings_and_empty_addresses_are_nil() -> None:
    assert envelope("Subject:\nTo:\nFrom: <>\n") == b'(NIL "" NIL NIL NIL NIL NIL NIL NIL NIL)'


def test_an_empty_sender_is_the_author() -> None:
    author = b'((NIL NIL "a" "x"))'
    assert envelope(
        "From: a@x\nSender: \nReply-To:\n"
    ) == b"(NIL NIL %s %s %s NIL NIL NIL NIL NIL)" % (
        author,
        author,
        author,
    )


def test_several_fields_of_one_name() -> None:
    assert envelope("Subject: one\nSubject: two\nTo: a@x\nTo: b@x\n") == (
        b'(NIL "one" NIL NIL NIL ((NIL NIL "a" "x")(NIL NIL "b" "x")) NIL NIL NIL NIL)'
    )


def test_eight_bit_octets_go_as_a_literal() -> None:
    assert envelope("Subject: Grüße\n") == (
        b"(NIL {8}\r\nGr\xc3\xbc\xc3\x9fe NIL NIL NIL NIL NIL NIL NIL NIL)".replace(b"{8}", b"{7}")
    )


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        (b"", b'""'),
        (b'a"b\\c', b'"a\\"b\\\\c"'),
        (b"a\tb\x7f", b'"a\tb\x7f"'),
        (b"a\rb", b"{3}\r\na\rb"),
        (b"a\0b", b"{3}\r\na\x80b"),
        (b"\xff", b"{1}\r\n\xff"),
    ],
)
def test_strings(text: bytes, wire: bytes) -> None:
    assert string(text) == wire


def one(
    name: bytes | None, local: bytes | None, host: bytes | None, route: bytes | None = None
) -> Mailbox:
    return Mailbox(name, route, local, host)


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (b"a@x", [one(None, b"a", b"x")]),
        (b" a@x , b@y ", [one(None, b"a", b"x"), one(None, b"b", b"y")]),
        (b"Anna B. <a@x>", [one(b"Anna B.", b"a", b"x")]),
        (b'"B, Anna" <a@x>', [one(b"B, Anna", b"a", b"x")]),
        (b'"Anna \\"B\\"" <a@x>', [one(b'Anna "B"', b"a", b"x")]),
        (b"=?utf-8?q?Gr=C3=BC?= <a@x>", [one(b"=?utf-8?q?Gr=C3=BC?=", b"a", b"x")]),
        (b"a@x (Anna (B) C)", [one(b"Anna (B) C", b"a", b"x")]),
        (b"Anna (home) <a@x>", [one(b"Anna", b"a", b"x")]),
        (b'"a b"@x', [one(None, b"a b", b"x")]),
        (b'"a@b" <c@x>', [one(b"a@b", b"c", b"x")]),
        (b"a@b <c@x>", [one(b"a@b", b"c", b"x")]),
        (b"<@r1,@r2:a@x>", [one(None, b"a", b"x", b"@r1,@r2")]),
        (b"a . b @ x . y", [one(None, b"a.b", b"x.y")]),
        (b"a@[192.0.2.1]", [one(None, b"a", b"[192.0.2.1]")]),
        (b"anna", [one(None, b"anna", b"MISSING_DOMAIN")]),
        (b"Anna <anna>", [one(b"Anna", b"anna", b"MISSING_DOMAIN")]),
        (b"Anna <>", [one(b"Anna", b"MISSING_MAILBOX", b"MISSING_DOMAIN")]),
        (b"Anna", [one(None, b"Anna", b"MISSING_DOMAIN")]),
        (b"@x", [one(None, b"MISSING_MAILBOX", b"x")]),
        (b"a@", [one(None, b"a", b"MISSING_DOMAIN")]),
        (b"Anna <a@x", [one(b"Anna", b"a", b"x")]),
        (b"Anna <a@x> junk, b@y", [one(b"Anna", b"a", b"x"), one(None, b"b", b"y")]),
        (b"a@x,,b@y,", [one(None, b"a", b"x"), one(None, b"b", b"y")]),
        (b"undisclosed-recipients:;", [one(None, b"undisclosed-recipients", None), GROUP_END]),
        (
            b"Team: a@x, B <b@y>; c@z",
            [
                one(None, b"Team", None),
                one(None, b"a", b"x"),
                one(b"B", b"b", b"y"),
                GROUP_END,
                one(None, b"c", b"z"),
            ],
        ),
        (b"Team: a@x", [one(None, b"Team", None), one(None, b"a", b"x"), GROUP_END]),
        (b"", []),
        (b"<>", []),
        (b"(only a comment)", []),
    ],
)
def test_addresses(field: bytes, found: list[Mailbox]) -> None:
    assert parse_addresses(field) == found
