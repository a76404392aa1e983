"""Reports on TLS of others: what programs write is understood, what is meant to harm is not read."""

from __future__ import annotations

import base64
import gzip
import json
import time
from datetime import UTC, date, datetime
from typing import Any

import pytest

from posthouse.storage.tls_results import Result
from postmaster.reports.letter import Letterhead, compose_mail
from postmaster.reports.opening import MAX_OCTETS
from postmaster.reports.reading import report_in
from postmaster.reports.received import BadReport
from postmaster.reports.tls import compose
from postmaster.reports.tls_reading import MAX_JSON_OCTETS, is_tls_report, parse

HEAD = Letterhead(host="mail.far.test", organization="Far <& Away>", address="t@far.test")
DAY = date(2026, 11, 21)
FAILED = Result(
    day=DAY, domain="a.test", kind="sts", sessions=3, failure="certificate-expired",
    host="mx.a.test", address="192.0.2.1", source="9.9.9.9", why="it ended",
)  # fmt: skip
# As Google writes it (RFC 8460 appendix B has the same words), with what others do besides.
THEIRS: dict[str, Any] = {
    "organization-name": "Google Inc.",
    "date-range": {"start-datetime": "2026-11-21T00:00:00Z", "end-datetime": "2026-11-21T23:59:59Z"},
    "contact-info": "smtp-tls-reporting@google.com",
    "report-id": "2026-11-21T00:00:00Z_a.test",
    "policies": [
        {
            "policy": {
                "policy-type": "sts", "policy-string": ["version: STSv1", "mode: testing"],
                "policy-domain": "A.test.", "mx-host": "*.a.test",
            },
            "summary": {"total-successful-session-count": 10, "total-failure-session-count": "7"},
            "failure-details": [
                {"result-type": "validation-failure", "failed-session-count": 5, "receiving-ip": None}
            ],
        },
        {
            "policy": {"policy-type": "no-policy-found", "policy-domain": "b.test"},
            "summary": {"total-successful-session-count": 2, "total-failure-session-count": 0},
            "failure-details": None,
        },
    ],
}  # fmt: skip


def octets(said: object) -> bytes:
    return json.dumps(said).encode()


def without(name: str) -> bytes:
    return octets({key: value for key, value in THEIRS.items() if key != name})


def a_mail(content: bytes, kind: str) -> bytes:
    head = f"From: t@far.test\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return head.encode() + base64.encodebytes(content).replace(b"\n", b"\r\n")


def test_we_read_what_we_write() -> None:
    good = Result(day=DAY, domain="a.test", kind="sts", sessions=40)
    report = compose(HEAD, DAY, "a.test", [FAILED, good])
    mail = compose_mail(
        HEAD, report, ["x@a.test"], "<1@far.test>", datetime(2026, 11, 22, tzinfo=UTC)
    )

    brought = report_in(mail)
    assert brought is not None
    assert brought.kind == "tls"
    [found] = brought.reports
    assert (found.organization, found.domain) == ("Far <& Away>", "a.test")
    assert found.begins == datetime(2026, 11, 21, tzinfo=UTC)
    assert (found.total, found.passed) == (43, 40)
    assert found.rows[1] == {
        "policy": "sts", "sessions": 3, "failure": "certificate-expired", "source": "9.9.9.9",
        "host": "mx.a.test", "address": "192.0.2.1", "why": "it ended",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["application/tlsrpt+json", "application/json", "text/plain"])
def test_each_domain_has_its_own_and_what_is_not_explained_is_told(kind: str) -> None:
    brought = report_in(a_mail(b"\xef\xbb\xbf" + octets(THEIRS), kind))
    assert brought is not None
    first, second = brought.reports
    assert (first.domain, first.total, first.passed) == ("a.test", 17, 10)
    assert [(row["failure"], row["sessions"]) for row in first.rows] == [
        ("", 10), ("validation-failure", 5), ("unknown", 2),
    ]  # fmt: skip
    assert (second.domain, second.total, second.passed) == ("b.test", 2, 2)


def test_other_json_is_none() -> None:
    assert not is_tls_report(b'["policies", "report-id"]')
    assert report_in(a_mail(octets({"policies": []}), "application/json")) is None


@pytest.mark.parametrize(
    "document",
    [
        without("policies") + b'"policies"',
        without("date-range"),
        octets(THEIRS | {"date-range": {"start-datetime": "0001-01-01T00:00:00Z", "end-datetime": "x"}}),
        octets(THEIRS | {"policies": [{"policy": {}, "summary": {}}]}),
        octets(THEIRS).replace(b": 10", b": -1"),
        octets(THEIRS).replace(b": 10", b": 1" + b"0" * 400),
        octets(THEIRS).replace(b": 10", b": 1e999"),
        octets(THEIRS).replace(b"Google", b"\xff"),
        octets(THEIRS)[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        octets(THEIRS)[:-1] + b" " * MAX_JSON_OCTETS + b"}",
        octets(THEIRS)[:-1],
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused(document: bytes) -> None:
    with pytest.raises(BadReport):
        parse(document)


def test_bombs_are_refused_soon() -> None:
    began = time.process_time()
    for content in (
        gzip.compress(b"{" + b" " * (MAX_OCTETS + 10)),
        gzip.compress(octets(THEIRS | {"policies": THEIRS["policies"] * 15_000})),
    ):
        with pytest.raises(BadReport):
            report_in(a_mail(content, "application/tlsrpt+gzip"))
    assert time.process_time() - began < 10


def test_a_report_on_very_many_domains_is_bounded() -> None:
    many = [
        {**THEIRS["policies"][1], "policy": {"policy-type": "sts", "policy-domain": f"{n}.test"}}
        for n in range(1000)
    ]
    assert len(parse(octets(THEIRS | {"policies": many}))) == 20
