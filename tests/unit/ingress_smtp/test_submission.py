"""What a submission says of its author, lacks and must not tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress_smtp.submission import Claims, Edits, amended, claims, completed
from posthouse.mime.addresses import parse_addresses


def header(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


@pytest.mark.parametrize(
    ("lines", "authors", "senders"),
    [
        (["From: anna@a.test"], ["anna@a.test"], []),
        (["fRoM : Anna <anna@a.test>"], ["anna@a.test"], []),
        (["From: Anna\r\n <anna@a.test>,\r\n\tb@b.test"], ["anna@a.test", "b@b.test"], []),
        (["From: a@a.test", "Sender: b@b.test"], ["a@a.test"], ["b@b.test"]),
        (["From: a@a.test", "From: b@b.test"], ["a@a.test", "b@b.test"], []),
        (["From: Group: a@a.test, b@b.test;"], ["a@a.test", "b@b.test"], []),
        (["From: Nobody:;"], [], []),
        (["From: boss@a.test <anna@a.test>"], ["anna@a.test"], []),
        (['From: "boss@a.test" <anna@a.test>'], ["anna@a.test"], []),
        (["From: anna@a.test (boss@a.test)"], ["anna@a.test"], []),
        (["From: <@boss.test:anna@a.test>"], ["anna@a.test"], []),
        (['From: "a b"@a.test'], ['"a b"@a.test'], []),
        (['From: "boss@a.test"@b.test'], ['"boss@a.test"@b.test'], []),
        (["From: boss@a.test, <anna@a.test>"], ["boss@a.test", "anna@a.test"], []),
        (["From: anna"], ["anna@MISSING_DOMAIN"], []),
        (["From: \xe4nna@a.test"], ["\xe4nna@a.test"], []),
        (["Subject: x", "X-From: b@b.test"], [], []),
        (["Subject: x\r\n From: b@b.test"], [], []),
    ],
)
def test_all_that_claims_to_be_an_author_is_found(
    lines: list[str], authors: list[str], senders: list[str]
) -> None:
    said = claims(header(*lines) + b"From: boss@body.test\r\n")

    assert ([a.lower() for a in said.authors], list(said.senders)) == (
        [a.lower() for a in authors],
        senders,
    )


def test_only_the_accounts_own_address_alone_is_plain() -> None:
    own = Claims(authors=("Anna@a.test",), senders=(), has_from=True)

    assert own.is_plain("anna@a.test")
    assert not own.is_plain("bert@a.test")
    for other in (
        Claims(authors=(), senders=(), has_from=True),
        Claims(authors=("anna@a.test", "anna@a.test"), senders=(), has_from=True),
        Claims(authors=("anna@a.test",), senders=("bert@a.test",), has_from=True),
        Claims(authors=("anna@a.test",), senders=("anna@a.test",) * 2, has_from=True),
    ):
        assert not other.is_plain("anna@a.test")


def test_blind_copies_are_not_told() -> None:
    before = header(
        "Return-Path: <anna@a.test>", "From: anna@a.test", "Bcc: secret@a.test,", "\tmore@a.test",
        "BCC :x@a.test", "Resent-Bcc: y@a.test", "Subject: Bcc: stays", "X-Bcc: stays",
        "Subject: folded", " Bcc: stays",
    )  # fmt: skip

    assert amended(before, Edits()) == header(
        "From: anna@a.test", "Subject: Bcc: stays", "X-Bcc: stays", "Subject: folded",
        " Bcc: stays",
    )  # fmt: skip


def test_a_header_of_blind_copies_alone_keeps_its_empty_line() -> None:
    assert amended(header("Bcc: x@a.test"), Edits()) == b"\r\n"
    assert amended(b"Bcc: x@a.test", Edits()) == b""


def test_a_missing_author_and_the_true_sender_are_written() -> None:
    before = header("sender: bert@a.test", "Sender:", " carl@a.test", "To: b@b.test")

    assert amended(before, Edits(author="team@a.test", sender="anna@a.test")) == header(
        "From: team@a.test", "Sender: anna@a.test", "To: b@b.test"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("To: anna", "To: anna@a.test"),
        ("to:anna", "to:anna@a.test"),
        ("Cc: anna, bert@b.test,carl", "Cc: anna@a.test, bert@b.test,carl@a.test"),
        ("From: Anna Berg <anna>", "From: Anna Berg <anna@a.test>"),
        ("From: Anna Berg", "From: Anna Berg"),
        ("From: (a, comment (nested)) anna (another)", "From: (a, comment (nested)) anna@a.test (another)"),
        ('To: "anna berg"', 'To: "anna berg"@a.test'),
        ('To: "Berg, Anna" <anna>, "x"', 'To: "Berg, Anna" <anna@a.test>, "x"@a.test'),
        ("To: team: anna, bert@b.test;, carl", "To: team: anna@a.test, bert@b.test;, carl@a.test"),
        ("To: undisclosed-recipients:;", "To: undisclosed-recipients:;"),
        ("To: =?utf-8?q?anna?=", "To: =?utf-8?q?anna?="),
        ("To: <@r.test:anna@b.test>", "To: <@r.test:anna@b.test>"),
        ("To: <>", "To: <>"),
        ("To: anna@[192.0.2.1], b", "To: anna@[192.0.2.1], b@a.test"),
        ("To: anna,\r\n\tbert", "To: anna@a.test,\r\n\tbert@a.test"),
        ("Resent-To: anna", "Resent-To: anna@a.test"),
        ("Reply-To: anna", "Reply-To: anna@a.test"),
        ("Subject: anna", "Subject: anna"),
        ("X-To: anna", "X-To: anna"),
    ],
)  # fmt: skip
def test_addresses_without_a_domain_are_completed(before: str, after: str) -> None:
    assert amended(header(before), Edits(domain="a.test")) == header(after)
    assert amended(header(after), Edits(domain="a.test")) == header(after)
    assert amended(header(before), Edits()) == header(before)


PIECES = [b"anna", b"a.b", b'"q, d"', b"<", b">", b"@", b"b.test", b",", b":", b";", b"(", b")", b" ",
          b"\r\n ", b"\\", b"=?x?q?y?=", b"[", b"]", b'"', b"\xff"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=15).map(b"".join))
def test_completion_only_adds_domains_and_never_twice(value: bytes) -> None:
    once = completed(value, b"a.test")

    assert completed(once, b"a.test") == once
    assert once.replace(b"@a.test", b"") == value.replace(b"@a.test", b"")
    parse_addresses(once)


@given(st.binary(max_size=300))
def test_any_octets_can_be_read_and_amended(octets: bytes) -> None:
    claims(octets)
    after = amended(octets, Edits(sender="anna@a.test", domain="a.test"))

    assert after.count(b"\nBcc:") == 0
    assert b"Sender: anna@a.test\r\n" in after
