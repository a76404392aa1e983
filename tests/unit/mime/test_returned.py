"""Bounces and complaints as real servers write them, after their documented forms (RFC 3464, RFC 5965)."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.mime.returned import MAX_RECIPIENTS, ReturnedMail, ToldOf, is_hard, read_returned

GOLDEN = Path(__file__).parents[2] / "golden/returned"
ORIGINAL = "<hello-1@example.test>"
EXPECTED = {
    "postfix.eml": ReturnedMail(
        kind="bounce",
        recipients=(
            ToldOf(
                address="nobody@inner.far.test",
                original="bert@far.test",
                status="5.1.1",
                said="550 5.1.1 <nobody@inner.far.test>: Recipient address    rejected:"
                " User unknown in local recipient table",
            ),
        ),
        message_id=ORIGINAL,
        return_path="anna@example.test",
    ),
    "exim.eml": ReturnedMail(
        kind="bounce",
        recipients=(
            ToldOf(address="nobody@far.test", status="5.1.1", said="550 5.1.1 no such user"),
        ),
        message_id=ORIGINAL,
        return_path="anna@example.test",
    ),
    "exim_prose.eml": ReturnedMail(
        kind="bounce",
        recipients=(
            ToldOf(
                address="nobody@far.test",
                status="5.1.1",
                said="SMTP error from remote mail server after RCPT TO:<nobody@far.test>: "
                "host inner.far.test [192.0.2.7]: 550 5.1.1 no such user",
            ),
            ToldOf(address="full@far.test", said="mailbox is full: retry timeout exceeded"),
        ),
        message_id=ORIGINAL,
        return_path="anna@example.test",
    ),
    "qmail.eml": ReturnedMail(
        kind="bounce",
        recipients=(
            ToldOf(
                address="nobody@far.test",
                status="5.1.1",
                said="Sorry, no mailbox here by that name. (#5.1.1)",
            ),
            ToldOf(
                address="bert@inner.far.test",
                status="5.7.1",
                said="192.0.2.7 does not like recipient. Remote host said: 554 5.7.1 Relay access "
                "denied Giving up on 192.0.2.7.",
            ),
        ),
        message_id=ORIGINAL,
        return_path="anna@example.test",
    ),
    "opensmtpd.eml": ReturnedMail(
        kind="bounce",
        recipients=(
            ToldOf(address="bert@b.test", status="5.1.1", said="550 5.1.1 no such user here"),
        ),
        message_id=ORIGINAL,
    ),
    "exchange.eml": ReturnedMail(
        kind="bounce",
        recipients=(
            ToldOf(
                address="nobody@far.test",
                original="nobody@far.test",
                status="5.1.10",
                said="550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP "
                "address lookup",
            ),
        ),
        message_id=ORIGINAL,
        return_path="anna@example.test",
    ),
    "gmail.eml": ReturnedMail(
        kind="bounce",
        recipients=(
            ToldOf(
                address="nobody@gmail.test",
                status="5.1.1",
                said="550-5.1.1 The email account that you tried to reach does not exist. Please "
                "try 550-5.1.1 double-checking the recipient's email address for typos or "
                "550-5.1.1 unnecessary spaces. For more information, go to 550 5.1.1  "
                "https://support.google.com/mail/?p=NoSuchUser",
            ),
        ),
        message_id=ORIGINAL,
    ),
    "global.eml": ReturnedMail(
        kind="bounce",
        recipients=(
            ToldOf(
                address="jörg@far.test",
                original="jörg@far.test",
                status="5.1.1",
                said="550 5.1.1 kein Jörg hier",
            ),
        ),
        message_id=ORIGINAL,
    ),
    "delayed.eml": ReturnedMail(
        kind="bounce",
        recipients=(
            ToldOf(
                address="bert@inner.far.test",
                original="bert@far.test",
                action="delayed",
                status="4.4.1",
                said="connect to inner.far.test[192.0.2.7]:25: Connection    timed out",
            ),
        ),
        message_id=ORIGINAL,
        envid="QQ314159",
    ),
    "abuse.eml": ReturnedMail(
        kind="complaint",
        recipients=(ToldOf(address="bert@isp.test", action=""),),
        message_id=ORIGINAL,
        return_path="anna@example.test",
        feedback="abuse",
    ),
    "vacation.eml": ReturnedMail(kind="auto-reply"),
}


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir()))
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_what_servers_write_is_understood(name: str, line_end: bytes) -> None:
    octets = (GOLDEN / name).read_bytes().replace(b"\n", line_end)

    assert read_returned(octets) == EXPECTED[name]


def test_who_does_not_exist_has_bounced_hard_and_who_is_late_has_not() -> None:
    hard = {name for name, mail in EXPECTED.items() if any(to.is_hard for to in mail.recipients)}

    assert hard == {
        "postfix.eml", "exim.eml", "exim_prose.eml", "qmail.eml", "exchange.eml", "gmail.eml",
        "global.eml", "opensmtpd.eml",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "hard"),
    [
        ("5.1.1", True),
        ("5.1.2", True),
        ("5.1.10", True),
        ("5.2.1", True),
        ("5.1.7", False),  # the sender's address
        ("5.1.8", False),
        ("5.2.2", False),  # full
        ("5.7.1", False),  # refused by a rule: the next mail may pass
        ("5.3.4", False),
        ("5.0.0", False),
        ("4.1.1", False),
        ("2.1.1", False),
        ("", False),
        ("5.1.1 or so", False),
    ],
)
def test_a_hard_bounce_says_that_nobody_is_there(status: str, hard: object) -> None:
    assert is_hard(status) is hard


def test_an_ordinary_letter_tells_nothing() -> None:
    assert read_returned(b"Subject: Hi. This is the news\r\n\r\nAll is well.\r\n").kind == "other"


def test_a_report_within_a_mail_that_came_back_is_not_this_report() -> None:
    inner = (GOLDEN / "postfix.eml").read_bytes()
    octets = b"Content-Type: message/rfc822\n\n" + inner

    assert read_returned(octets).kind == "other"


def test_the_number_of_recipients_is_bounded() -> None:
    one = b"Final-Recipient: rfc822; a%d@far.test\nAction: failed\nStatus: 5.1.1\n"
    groups = b"\n".join([b"Reporting-MTA: dns; x\n", *(one % n for n in range(3000))])

    found = read_returned(b"Content-Type: message/delivery-status\n\n" + groups)

    assert len(found.recipients) == MAX_RECIPIENTS


@pytest.mark.parametrize(
    ("field", "address"),
    [
        (b"rfc822; <a@far.test>", "a@far.test"),
        (b"a@far.test", "a@far.test"),
        (b"RFC822;a@far.test (somebody)", "a@far.test"),
        (rb"utf-8; \x{D800}\x{110000}\x{263A}@far.test", "\\x{D800}\\x{110000}\u263a@far.test"),
    ],
)
def test_addresses_are_read_as_they_are_written_in_the_street(field: bytes, address: str) -> None:
    group = b"Final-Recipient: " + field + b"\nStatus: 5.1.1\n"

    found = read_returned(b"Content-Type: message/delivery-status\n\nX: y\n\n" + group)

    assert [each.address for each in found.recipients] == [address]
