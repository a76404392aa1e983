"""Reports as the standards want them, read back by the standard library (RFC 3464, RFC 6522)."""

from __future__ import annotations

import email
import email.policy
import quopri
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage, Message
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.dsn import MAX_ORIGINAL_OCTETS, can_go_back, compose_dsn
from posthouse.mail.report import Fate, Report
from posthouse.mail.status import EXPIRED, OK, Status
from posthouse.mail.wording import Wording
from posthouse.runtime.wordings import wordings

GOLDEN = Path(__file__).parents[2] / "golden/dsn"
ENGLISH, GERMAN = (wordings(None)[language] for language in ("en", "de"))
ARRIVED = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
UNKNOWN = Fate(
    address="nobody@dest.test",
    status=Status(550, (5, 1, 1)),
    reply="550 5.1.1 <nobody@dest.test>: Recipient address rejected: User unknown",
    host="mx1.dest.test [192.0.2.25]",
)
LATE = Fate(
    address="anna@slow.test",
    status=Status(451, (4, 4, 1)),
    reply="Connection refused",
    host="mx.slow.test [192.0.2.26]",
    action="delayed",
)
FAILED = Report(
    id=UUID("019ab3c0-0000-7000-8000-000000000001"),
    host="mail.example.test",
    author="MAILER-DAEMON@mail.example.test",
    made=datetime(2026, 11, 22, 9, 0, tzinfo=UTC),
    to="anna@example.test",
    subject_id=UUID("019ab3a4-0000-7000-8000-000000000002"),
    sender="anna@example.test",
    arrived=ARRIVED,
    fates=(UNKNOWN,),
    original=b"Received: from laptop\r\n\tby mail.example.test\r\nSubject: Hello\r\nMessage-ID: <1@x.test>\r\n\r\n",
)
REPORTS = {
    "failed.eml": FAILED,
    "delayed.eml": replace(
        FAILED, fates=(LATE,), retry_until=datetime(2026, 11, 27, 8, 30, tzinfo=UTC)
    ),
    "several.eml": replace(
        FAILED,
        fates=(
            replace(UNKNOWN, orcpt="rfc822;Team+2Bnews@example.test"),
            Fate(
                address="bert@big.test",
                status=Status(552, (5, 3, 4)),
                reply="552 5.3.4 the message has 99 octets,\nthe server takes 98",
                host="[192.0.2.27] [192.0.2.27]",
            ),
            Fate(
                address="x@nowhere.test",
                status=Status(550, (5, 1, 2)),
                reply="there is no such domain",
            ),
        ),
    ),
    "utf8.eml": replace(
        FAILED,
        fates=(replace(UNKNOWN, address="jörg@straße.test", reply="550 5.1.1 kein Jörg hier"),),
        original="Subject: Grüße\r\nFrom: Jürgen <j@x.test>\r\n\r\n".encode(),
    ),
    "delivered.eml": replace(
        FAILED,
        envid="QQ+3D314159",
        fates=(
            Fate(
                address="anna@dest.test",
                status=OK,
                orcpt="rfc822;Anna@Dest.test",
                action="delivered",
            ),
        ),
    ),
    "relayed.eml": replace(
        FAILED,
        fates=(replace(UNKNOWN, status=OK, reply="250 2.0.0 Ok: queued as 7", action="relayed"),),
    ),
    "scheduled.eml": replace(
        FAILED,
        fates=(replace(UNKNOWN, status=EXPIRED, reply="the time is over", host=""),),
        deliver_by=datetime(2026, 11, 22, 8, 45, tzinfo=UTC),
        hold="for;600",
    ),
    "expanded.eml": replace(
        FAILED, fates=(Fate(address="team@dest.test", status=OK, action="expanded"),)
    ),
    "whole.eml": replace(
        FAILED, content=b"Subject: Hello\r\n\r\n.\r\n--a line that may be a boundary\r\n"
    ),
    "double.eml": replace(FAILED, to="postmaster@example.test", sender=""),
    "german.eml": replace(
        FAILED,
        author="ruecklaeufer@example.test",
        fates=(
            replace(UNKNOWN, orcpt="rfc822;team@example.test"),
            replace(LATE, action="failed", host="", reply="time ran out: Connection refused"),
        ),
    ),
    "german_delayed.eml": replace(
        FAILED, fates=(LATE,), retry_until=datetime(2026, 11, 27, 8, 30, tzinfo=UTC)
    ),
    "global.eml": replace(
        FAILED,
        is_global=True,
        fates=(
            replace(
                UNKNOWN,
                address="jörg@straße.test",
                orcpt=r"utf-8;J\x{F6}rg@stra\x{DF}e.test",
                reply="550 5.1.1 kein Jörg hier",
            ),
        ),
        original="Subject: Grüße\r\nFrom: Jürgen <j@x.test>\r\n\r\n".encode(),
    ),
}


def _wording_of(name: str) -> Wording:
    return GERMAN if name.startswith("german") else ENGLISH


def _composed(name: str) -> bytes:
    return compose_dsn(REPORTS[name], _wording_of(name))


def _read(report: Report) -> EmailMessage:
    message = email.message_from_bytes(compose_dsn(report, ENGLISH), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def _groups(report: Report) -> list[Message]:
    """The per-message fields, then those of each recipient."""
    payload = _parts(report)[1].get_payload()
    assert isinstance(payload, list)
    return [each for each in payload if isinstance(each, Message)]


def _parts(report: Report) -> list[EmailMessage]:
    return [part for part in _read(report).iter_parts() if isinstance(part, EmailMessage)]


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_octet_for_octet_what_it_was(name: str) -> None:
    assert _composed(name) == (GOLDEN / name).read_bytes()


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_has_no_defects(name: str) -> None:
    message = email.message_from_bytes(_composed(name), policy=email.policy.default)
    third = {"whole.eml": "message/rfc822", "global.eml": "message/global-headers"}
    status = "global-delivery-status" if name == "global.eml" else "delivery-status"

    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == status
    assert isinstance(message, EmailMessage)
    assert [part.get_content_type() for part in message.iter_parts()] == [
        "text/plain",
        f"message/{status}",
        third.get(name, "text/rfc822-headers"),
    ]
    assert [defect for part in message.walk() for defect in part.defects] == []


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_seven_bit_with_short_lines(name: str) -> None:
    octets = _composed(name)

    assert octets.isascii()
    assert octets.endswith(b"\r\n")
    assert b"\n" not in octets.replace(b"\r\n", b"")
    assert b"\r" not in octets.replace(b"\r\n", b"")
    assert max(map(len, octets.split(b"\r\n"))) <= 998


def test_a_report_never_provokes_an_answer() -> None:
    assert _read(FAILED)["Auto-Submitted"] == "auto-replied"


def test_a_report_belongs_to_the_mail_it_speaks_of() -> None:
    assert _read(FAILED)["In-Reply-To"] == _read(FAILED)["References"] == "<1@x.test>"
    assert _read(replace(FAILED, original=b"Message-ID: nonsense\r\n"))["In-Reply-To"] is None


def test_what_a_server_said_is_told_apart_from_what_we_say_of_it() -> None:
    _, late = _groups(REPORTS["delayed.eml"])
    _, failed = _groups(FAILED)

    assert late["Diagnostic-Code"] == "x-posthouse; Connection refused"
    assert failed["Diagnostic-Code"].startswith("smtp; 550 5.1.1")


def test_the_recipients_fields_tell_what_happened() -> None:
    about, failed = _groups(FAILED)

    assert about["Reporting-MTA"] == "dns; mail.example.test"
    assert about["Arrival-Date"] == "Sun, 22 Nov 2026 08:30:00 +0000"
    assert failed["Final-Recipient"] == "rfc822; nobody@dest.test"
    assert failed["Action"] == "failed"
    assert failed["Status"] == "5.1.1"
    assert failed["Remote-MTA"] == "dns; mx1.dest.test"
    assert "User unknown" in failed["Diagnostic-Code"]
    assert failed["Will-Retry-Until"] is None


def test_a_warning_says_until_when_it_is_tried() -> None:
    report = REPORTS["delayed.eml"]
    _, late = _groups(report)

    assert late["Action"] == "delayed"
    assert late["Will-Retry-Until"] == "Fri, 27 Nov 2026 08:30:00 +0000"
    assert "ONLY A WARNING" in _parts(report)[0].get_content()


def test_each_recipient_has_its_own_fields() -> None:
    _, *recipients = _groups(REPORTS["several.eml"])

    assert [each["Status"] for each in recipients] == ["5.1.1", "5.3.4", "5.1.2"]
    assert recipients[0]["Original-Recipient"] == "rfc822; Team+news@example.test"
    assert recipients[2]["Remote-MTA"] is None
    assert recipients[2]["Diagnostic-Code"].startswith("x-posthouse;")


def test_what_the_sender_called_things_comes_back_as_it_was_written() -> None:
    about, arrived = _groups(REPORTS["delivered.eml"])

    assert about["Original-Envelope-Id"] == "QQ=314159"
    assert arrived["Original-Recipient"] == "rfc822; Anna@Dest.test"
    assert (arrived["Action"], arrived["Status"]) == ("delivered", "2.0.0")
    assert arrived["Diagnostic-Code"] is None
    assert _groups(FAILED)[0]["Original-Envelope-Id"] is None
    assert _groups(FAILED)[1]["Original-Recipient"] is None


def test_what_is_hidden_in_xtext_forges_no_field() -> None:
    evil = replace(UNKNOWN, orcpt="rfc822;a+0D+0AAction: delivered")
    about, failed = _groups(replace(FAILED, envid="x+0D+0AX-Evil: 1", fates=(evil,)))

    assert about["X-Evil"] is None
    assert failed.get_all("Action") == ["failed"]


@given(orcpt=st.text(st.characters(min_codepoint=33, exclude_categories=["Cs"]), max_size=500))
def test_whatever_the_sender_wrote_the_report_stays_seven_bit(orcpt: str) -> None:
    report = replace(FAILED, fates=(replace(UNKNOWN, orcpt=f"utf-8;{orcpt}"),))
    octets = compose_dsn(report, ENGLISH)

    assert octets.isascii()
    assert max(map(len, octets.split(b"\r\n"))) <= 998


def test_a_mail_with_a_header_beyond_ascii_goes_back_as_global() -> None:
    content = "Subject: Grüße\r\n\r\n".encode()
    report = replace(FAILED, content=content)

    assert can_go_back(content)
    assert report.is_8bit
    assert _parts(report)[2].get_content_type() == "message/global"
    assert content in compose_dsn(report, ENGLISH)


def test_an_address_beyond_ascii_is_encoded() -> None:
    _, failed = _groups(REPORTS["utf8.eml"])

    assert failed["Final-Recipient"] == r"utf-8; j\x{00F6}rg@stra\x{00DF}e.test"
    assert "jörg@straße.test" in _parts(REPORTS["utf8.eml"])[0].get_content()
    assert "Grüße" in _parts(REPORTS["utf8.eml"])[2].get_content()


def test_a_sender_who_used_smtputf8_reads_addresses_as_they_are() -> None:
    report = REPORTS["global.eml"]
    told = quopri.decodestring(compose_dsn(report, ENGLISH)).decode().replace("\r\n", "\n")

    assert "\n<jörg@straße.test>:\n" in told
    assert "\nOriginal-Recipient: utf-8; Jörg@straße.test\n" in told
    assert "\nFinal-Recipient: utf-8; jörg@straße.test\n" in told
    assert "\nDiagnostic-Code: smtp; 550 5.1.1 kein Jörg hier\n" in told
    assert "\nSubject: Grüße\n" in told
    assert not report.smtputf8
    assert not report.is_8bit


def test_an_escape_in_orcpt_hides_no_control() -> None:
    orcpt = r"utf-8;a\x{0A}X-Evil:\x{D800}\x{FFFFFF}\x{20}@dest.test"
    report = replace(REPORTS["global.eml"], fates=(replace(UNKNOWN, orcpt=orcpt),))

    octets = compose_dsn(report, ENGLISH)

    assert rb"a\x{0A}X-Evil:\x{D800}\x{FFFFFF} @dest.test" in octets


def test_a_german_is_told_in_german_and_programs_in_none() -> None:
    message = email.message_from_bytes(_composed("german.eml"), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    text, status, _ = message.iter_parts()
    english, _, _ = _parts(REPORTS["german.eml"])

    assert message["Subject"] == "Ihre Nachricht konnte nicht zugestellt werden"
    assert message["From"] == "Mailsystem <ruecklaeufer@example.test>"
    assert text["Content-Language"] == "de"
    assert "Dieses Postfach gibt es nicht" in text.get_content()
    assert "mx1.dest.test [192.0.2.25] sagte: 550 5.1.1" in text.get_content()
    assert "Sie schrieben an team@example.test" in text.get_content()
    assert "There is no such mailbox" in english.get_content()
    assert b"\n\nReporting-MTA: dns; mail.example.test\n" in bytes(status).replace(b"\r", b"")


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("Post & Co", "Post & Co <"),
        ("Post, Abteilung 3", '"Post, Abteilung 3" <'),
        ('The "Post" \\', '"The \\"Post\\" \\\\" <'),
        ("Größte Post", "=?utf-8?b?"),
    ],
)
def test_the_mail_system_is_called_as_the_operator_likes(name: str, field: str) -> None:
    wording = replace(ENGLISH, phrases={**ENGLISH.phrases, "from": name})

    octets = compose_dsn(FAILED, wording)

    assert b"\r\nFrom: " + field.encode() in octets
    author = email.message_from_bytes(octets, policy=email.policy.default)["From"]
    assert author.addresses[0].display_name == name
    assert author.addresses[0].addr_spec == "MAILER-DAEMON@mail.example.test"


def test_only_a_sender_beyond_ascii_makes_the_report_need_smtputf8() -> None:
    assert not REPORTS["utf8.eml"].smtputf8
    assert replace(FAILED, to="jörg@example.test").smtputf8


def test_a_huge_header_is_cut() -> None:
    report = replace(FAILED, original=b"X-Long: " + b"a" * 990 + b"\r\n" * MAX_ORIGINAL_OCTETS)

    assert len(compose_dsn(report, ENGLISH)) < MAX_ORIGINAL_OCTETS + 5000


@given(reply=st.text(max_size=3000), original=st.binary(max_size=3000))
def test_whatever_a_server_said_the_report_stays_well_formed(reply: str, original: bytes) -> None:
    report = replace(FAILED, fates=(replace(UNKNOWN, reply=reply),), original=original)

    octets = compose_dsn(report, ENGLISH)
    parts = _parts(report)

    assert octets.isascii()
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    assert len(parts) == 3
    assert _groups(report)[1]["Status"] == "5.1.1"
