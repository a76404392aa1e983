"""Reports on TLS as RFC 8460 wants them: whom to, the JSON, the mail."""

from __future__ import annotations

import email
import email.policy
import gzip
import json
from datetime import UTC, date, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest

from posthouse.storage.tls_results import Result
from postmaster.reports.letter import Letterhead, compose_mail, file_name
from postmaster.reports.tls import MEDIA_TYPE, Places, compose, places_in

GOLDEN = Path(__file__).parents[2] / "golden/tls/report.json"
HEAD = Letterhead(
    host="mail.example.test", organization="Example House", address="tls@example.test"
)
DAY = date(2026, 11, 21)
POLICY = ("version: STSv1", "mode: enforce", "mx: *.b.test", "mx: mx.c.test", "max_age: 86400")
RESULTS = (
    Result(day=DAY, domain="b.test", kind="sts", policy=POLICY, sessions=5326),
    Result(
        day=DAY, domain="b.test", kind="sts", policy=POLICY, sessions=3,
        failure="certificate-expired", host="mx1.b.test", address="192.0.2.1", source="9.9.9.9",
        why="certificate not accepted: certificate has expired",
    ),
    Result(
        day=DAY, domain="b.test", kind="sts", sessions=100, failure="sts-policy-fetch-error",
        why="https://mta-sts.b.test/.well-known/mta-sts.txt answered 503",
    ),
    Result(day=DAY, domain="b.test", kind="tlsa", policy=("3 1 1 ab",), sessions=2),
    Result(
        day=DAY, domain="b.test", kind="no-policy-found", sessions=1,
        failure="starttls-not-supported", host="mx2.b.test", address="2001:db8::1",
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("records", "places"),
    [
        (["v=TLSRPTv1; rua=mailto:reports@b.test"], Places(("reports@b.test",), ())),
        (["v=TLSRPTv1;rua=https://b.test/v1?a=1"], Places((), ("https://b.test/v1?a=1",))),
        (
            ["v=spf1 -all", "v=TLSRPTv1; rua=mailto:a@b.test , https://b.test/v1,mailto:a@b.test"],
            Places(("a@b.test",), ("https://b.test/v1",)),
        ),
        (["v=TLSRPTv1; ext=1; rua=mailto:a%21b@b.test?subject=x;"], Places(("a!b@b.test",), ())),
        ([], None),
        (["v=TLSRPTv1;"], None),
        (["v=TLSRPTv2; rua=mailto:a@b.test"], None),
        (["v=TLSRPTv1; rua=mailto:a@b.test"] * 2, None),
        (["v=TLSRPTv1; rua=http://b.test/v1,ftp://b.test,mailto:nobody"], None),
        (["v=TLSRPTv1; rua=https://b.test/\r\nX: y"], None),
        (["v=TLSRPTv1; rua=mailto:a%0d%0aBcc:x@b.test"], None),
        (["v=TLSRPTv1; rua=https://b.test/" + "x" * 1000], None),
    ],
)
def test_reports_go_where_the_one_record_says(records: list[str], places: Places | None) -> None:
    assert places_in(records) == places


def test_a_record_cannot_make_us_send_to_many() -> None:
    uris = ",".join(f"mailto:a{n}@b.test" for n in range(100))

    found = places_in([f"v=TLSRPTv1; rua={uris}"])

    assert found is not None
    assert len(found.addresses) == 5


def test_the_report_is_as_it_was_looked_at() -> None:
    report = compose(HEAD, DAY, "b.test", RESULTS)

    made = json.loads(gzip.decompress(report.content))
    assert made == json.loads(GOLDEN.read_text())
    assert compose(HEAD, DAY, "b.test", RESULTS) == report


def test_domains_are_said_in_a_labels() -> None:
    report = compose(HEAD, DAY, "bücher.test", RESULTS[:1])

    policy = json.loads(gzip.decompress(report.content))["policies"][0]["policy"]
    assert policy["policy-domain"] == "xn--bcher-kva.test"
    assert file_name(HEAD, report) == (
        "mail.example.test!xn--bcher-kva.test!1795219200!1795305599.json.gz"
    )


def test_the_mail_is_a_report_of_its_type() -> None:
    report = compose(HEAD, DAY, "b.test", RESULTS)
    now = datetime(2026, 11, 22, 1, tzinfo=UTC)

    octets = compose_mail(HEAD, report, ["a@b.test", "c@b.test"], "<1@mail.example.test>", now)

    assert max(map(len, octets.split(b"\r\n"))) <= 998
    assert octets.replace(b"\r\n", b"").count(b"\n") == 0
    mail = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "tlsrpt"
    assert (mail["From"], mail["To"]) == ("tls@example.test", "a@b.test, c@b.test")
    assert mail["Subject"] == (
        "Report Domain: b.test Submitter: mail.example.test "
        "Report-ID: <2026-11-21T00:00:00Z_b.test_mail.example.test>"
    )
    assert mail["TLS-Report-Domain"] == "b.test"
    assert mail["TLS-Report-Submitter"] == "example.test"  # of contact-info (section 5.3)
    assert mail["TLS-Required"] == "No"
    text, attached = mail.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert attached.get_content_type() == MEDIA_TYPE
    assert attached.get_filename() == "mail.example.test!b.test!1795219200!1795305599.json.gz"
    assert attached.get_content() == report.content
    assert not mail.defects
