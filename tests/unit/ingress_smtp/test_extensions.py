"""Paths and parameters of MAIL and RCPT."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ingress_smtp import replies
from ingress_smtp.commands import Bad, Mail, Rcpt, parse
from ingress_smtp.extensions import Offer, offer
from ingress_smtp.parameters import MAX_SIZE_DIGITS, MailParameters
from posthouse.mail.handling import DEFAULT, PLAIN, Handling, Notify


@pytest.mark.parametrize(
    ("line", "sender", "parameters"),
    [
        ("MAIL FROM:<>", "", MailParameters()),
        ("mail From: <a@B.test>", "a@b.test", MailParameters()),
        ("MAIL FROM:<@x.test,@y.test:a@b.test>", "a@b.test", MailParameters()),
        ('MAIL FROM:<"a>b"@c.test> SIZE=5', '"a>b"@c.test', MailParameters(size=5)),
        ('MAIL FROM:<"a\\"b"@c.test>', '"a\\"b"@c.test', MailParameters()),
        ("MAIL FROM:<a@[192.0.2.1]>", "a@[192.0.2.1]", MailParameters()),
        ("MAIL FROM:<a@b.test> BODY=8bitmime SMTPUTF8", "a@b.test",
         MailParameters(body="8BITMIME", smtputf8=True)),
        ("MAIL FROM:<a@b.test> BODY=7BIT AUTH=<>", "a@b.test", MailParameters()),
        ("MAIL FROM:<a@b.test> AUTH=a+2Bb@c.test", "a@b.test", MailParameters()),
    ],
)  # fmt: skip
def test_a_sender_is_read(line: str, sender: str, parameters: MailParameters) -> None:
    assert parse(line.encode()) == Mail(sender, parameters)


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("MAIL", replies.BAD_SENDER),
        ("MAIL FROM", replies.BAD_SENDER),
        ("MAIL FROM:", replies.BAD_SENDER),
        ('MAIL FROM:<"a>@b.test', replies.BAD_SENDER),
        ("MAIL FROM:<a@b.test>>", replies.BAD_SENDER),
        ("MAIL FROM:<a@b..test>", replies.BAD_SENDER),
        ("MAIL FROM:<.a@b.test>", replies.BAD_SENDER),
        (f"MAIL FROM:<{'a' * 65}@b.test>", replies.BAD_SENDER),
        (f"MAIL FROM:<a@b.test> SIZE={'1' * (MAX_SIZE_DIGITS + 1)}", replies.BAD_PARAMETER),
        ("MAIL FROM:<a@b.test> SIZE", replies.BAD_PARAMETER),
        ("MAIL FROM:<a@b.test> SIZE=", replies.BAD_PARAMETER),
        ("MAIL FROM:<a@b.test> SIZE=-1", replies.BAD_PARAMETER),
        ("MAIL FROM:<a@b.test> SIZE=٣", replies.BAD_PARAMETER),
        ("MAIL FROM:<a@b.test> BODY", replies.BAD_PARAMETER),
        ("MAIL FROM:<a@b.test> AUTH=a+b", replies.BAD_PARAMETER),
        ("MAIL FROM:<a@b.test> RET=ALL", replies.BAD_PARAMETER),
        ("MAIL FROM:<a@b.test> RET", replies.BAD_PARAMETER),
        ("MAIL FROM:<a@b.test> RET=FULL RET=FULL", replies.BAD_PARAMETER),
        ("MAIL FROM:<a@b.test> ENVID=a=b", replies.BAD_PARAMETER),
        ("MAIL FROM:<a@b.test> ENVID=a+2b", replies.BAD_PARAMETER),
        ("MAIL FROM:<a@b.test> ENVID=" + 101 * "x", replies.BAD_PARAMETER),
        ("MAIL FROM:<a@b.test> NOTIFY=NEVER", replies.UNKNOWN_PARAMETER),
        ("RCPT TO:<a@b.test> RET=FULL", replies.UNKNOWN_PARAMETER),
        ("RCPT TO:<a@b.test> NOTIFY=NEVER,FAILURE", replies.BAD_PARAMETER),
        ("RCPT TO:<a@b.test> NOTIFY=SUCCESS,", replies.BAD_PARAMETER),
        ("RCPT TO:<a@b.test> NOTIFY=ALWAYS", replies.BAD_PARAMETER),
        ("RCPT TO:<a@b.test> NOTIFY", replies.BAD_PARAMETER),
        ("RCPT TO:<a@b.test> NOTIFY=DELAY NOTIFY=DELAY", replies.BAD_PARAMETER),
        ("RCPT TO:<a@b.test> ORCPT=a@b.test", replies.BAD_PARAMETER),
        ("RCPT TO:<a@b.test> ORCPT=rfc822;a+b@c.test", replies.BAD_PARAMETER),
        ("RCPT TO:<a@b.test> ORCPT=rf(c822;a@b.test", replies.BAD_PARAMETER),
        ("RCPT TO:<a@b.test> ORCPT=rfc822;ä@b.test", replies.BAD_PARAMETER),
        ("RCPT TO:<a@b.test> ORCPT=rfc822;" + 494 * "x", replies.BAD_PARAMETER),
        ("RCPT TO:a@b.test", replies.BAD_RECIPIENT),
        ("RCPT TO:<>", replies.BAD_RECIPIENT),
        ("RCPT TO:<a b>", replies.BAD_RECIPIENT),
        ("RCPT FROM:<a@b.test>", replies.BAD_RECIPIENT),
        ("EHLO", replies.ARGUMENT_MISSING),
        ("EHLO a b", replies.ARGUMENT_MISSING),
        ("AUTH", replies.ARGUMENT_MISSING),
        ("AUTH PLAIN a b", replies.ARGUMENT_MISSING),
        ("AUTH PLAIN ä", replies.ARGUMENT_MISSING),
        ("GET / HTTP/1.1", replies.NOT_SMTP),
        ("BDAT", replies.BAD_CHUNK),
        ("BDAT -1", replies.BAD_CHUNK),
        ("BDAT 5 FIRST", replies.BAD_CHUNK),
        ("BDAT 184467440737095516160", replies.BAD_CHUNK),
    ],
)
def test_what_is_wrong_has_its_own_reply(line: str, reply: replies.Reply) -> None:
    assert parse(line.encode()) == Bad(reply)


def test_a_recipient_keeps_its_case_before_the_at() -> None:
    assert parse(b"RCPT TO:<Anna@Example.TEST>") == Rcpt("Anna@example.test")
    assert parse("RCPT TO:<änna@example.test>".encode()) == Rcpt("änna@example.test")


def test_only_what_holds_is_offered() -> None:
    here = Offer(hostname="mx.example.test", size=7, recipients=3)
    plain = offer(replace(here, starttls=True)).wire
    safe = offer(replace(here, secure=True, auth=("PLAIN", "LOGIN")))

    assert plain.startswith(b"250-mx.example.test\r\n250-PIPELINING\r\n250-SIZE 7\r\n")
    assert b"\r\n250-LIMITS RCPTMAX=3\r\n" in plain
    assert plain.endswith(b"250 STARTTLS\r\n")
    assert b"AUTH" not in plain
    assert b"REQUIRETLS" not in plain
    assert safe.wire.endswith(b"250 AUTH PLAIN LOGIN\r\n")
    assert b"STARTTLS" not in safe.wire
    assert b"\r\n250-REQUIRETLS\r\n" in safe.wire


def test_what_a_sender_asks_for_is_kept_with_its_case() -> None:
    mail = parse(b"MAIL FROM:<a@b.test> ret=hdrs EnvId=QQ+3D314159")
    rcpt = parse(b"RCPT TO:<bob@b.test> notify=delay,success orcpt=rfc822;Bob+2Bx@B.Test")

    assert isinstance(mail, Mail)
    assert mail.parameters.handling == Handling(ret="HDRS", envid="QQ+3D314159")
    assert rcpt == Rcpt("bob@b.test", Notify(on="SUCCESS,DELAY", orcpt="rfc822;Bob+2Bx@B.Test"))


def test_sizes_of_rfc_3461_are_taken() -> None:
    orcpt = "rfc822;" + 493 * "x"
    rcpt = parse(f"RCPT TO:<bob@b.test> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT={orcpt}".encode())
    mail = parse(f"MAIL FROM:<a@b.test> ENVID={100 * 'x'}".encode())

    assert rcpt == Rcpt("bob@b.test", Notify(on="SUCCESS,FAILURE,DELAY", orcpt=orcpt))
    assert isinstance(mail, Mail)


def test_an_original_address_of_the_type_utf_8_may_stand_in_unicode() -> None:
    rcpt = parse("RCPT TO:<a@b.test> ORCPT=utf-8;ärger@b.test".encode())

    assert rcpt == Rcpt("a@b.test", Notify(orcpt="utf-8;ärger@b.test"))


def test_who_asks_for_nothing_costs_nothing() -> None:
    mail = parse(b"MAIL FROM:<a@b.test> SIZE=10 BODY=8BITMIME")
    rcpt = parse(b"RCPT TO:<bob@b.test>")

    assert isinstance(mail, Mail)
    assert mail.parameters.handling is PLAIN
    assert isinstance(rcpt, Rcpt)
    assert rcpt.notify is DEFAULT
