"""Reports of others: what programs write is understood, what is meant to harm is not read."""

from __future__ import annotations

import base64
import gzip
import io
import time
import zipfile
from datetime import UTC, date, datetime

import pytest

from posthouse.storage.dmarc_results import DmarcResult, Facts
from postmaster.reports.dmarc import compose
from postmaster.reports.dmarc_reading import parse
from postmaster.reports.letter import Letterhead, compose_mail
from postmaster.reports.opening import MAX_OCTETS, unpacked
from postmaster.reports.reading import report_in
from postmaster.reports.received import BadReport

HEAD = Letterhead(host="mail.far.test", organization="Far <& Away>", address="d@far.test")
DAY = date(2026, 11, 21)
FACTS = Facts(published="p=none; adkim=r; aspf=r", source="2001:db8::1", author="a.test", spf=True)


def a_mail(content: bytes, kind: str = "application/zip") -> bytes:
    return (
        f"From: d@far.test\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()
        + base64.encodebytes(content).replace(b"\n", b"\r\n")
    )


def ours() -> tuple[bytes, bytes]:
    """Return a mail of our own, and the XML in it."""
    results = [
        DmarcResult(day=DAY, domain="a.test", facts=FACTS, messages=5),
        DmarcResult(
            day=DAY, domain="a.test", facts=Facts(published="p=none", source="192.0.2.1", author="a.test")
        ),
    ]  # fmt: skip
    report = compose(HEAD, DAY, "a.test", results)
    mail = compose_mail(
        HEAD, report, ["x@a.test"], "<1@far.test>", datetime(2026, 11, 22, tzinfo=UTC)
    )
    return mail, gzip.decompress(report.content)


def zipped(octets: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("far.test!a.test!1!2.xml", octets)
    return file.getvalue()


def test_we_read_what_we_write() -> None:
    brought = report_in(ours()[0])
    assert brought is not None
    assert brought.kind == "dmarc"
    [found] = brought.reports
    assert (found.organization, found.domain) == ("Far <& Away>", "a.test")
    assert found.begins == datetime(2026, 11, 21, tzinfo=UTC)
    assert found.ends == datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC)
    assert (found.total, found.passed) == (6, 5)
    assert [(row["address"], row["messages"]) for row in found.rows] == [
        ("2001:db8::1", 5),
        ("192.0.2.1", 1),
    ]


@pytest.mark.parametrize("kind", ["application/zip", "application/octet-stream", "text/xml"])
def test_as_a_zip_file_and_bare(kind: str) -> None:
    _, xml = ours()
    content = xml if kind == "text/xml" else zipped(xml)
    assert report_in(a_mail(content, kind)) == report_in(ours()[0])


def test_names_with_a_prefix_are_the_same() -> None:
    _, xml = ours()
    spaced = xml.replace(b"<feedback>", b'<d:feedback xmlns:d="urn:x">').replace(
        b"</feedback>", b"</d:feedback>"
    )
    assert parse(spaced) == parse(xml)


def test_other_mail_brings_none() -> None:
    assert report_in(b"Subject: hi\r\n\r\nHello\r\n") is None
    assert report_in(a_mail(gzip.compress(b"<html/>"), "application/gzip")) is None


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"<feedback>" + b" " * (MAX_OCTETS + 10)),
        zipped(b"<feedback>" + b" " * (MAX_OCTETS + 10)),
        gzip.compress(ours()[1])[:-20],
        b"PK\x03\x04 no archive",
        zipped(b"")[:22] + zipped(b"")[-22:],
    ],
)
def test_bombs_and_ruins_are_refused(content: bytes) -> None:
    began = time.process_time()
    with pytest.raises(BadReport):
        unpacked(content)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "xml",
    [
        b'<!DOCTYPE feedback [<!ENTITY a "aaaa">]><feedback>&a;</feedback>',
        b'<!DOCTYPE feedback SYSTEM "file:///etc/passwd"><feedback/>',
        b"<feedback>" + b"<a>" * 100 + b"</a>" * 100 + b"</feedback>",
        b"<feedback></feedback>",
        b"<feedback>",
        ours()[1].replace(b"<begin>", b"<begin>9999999999999"),
    ],
)
def test_documents_that_declare_or_lack_something_are_refused(xml: bytes) -> None:
    with pytest.raises(BadReport):
        parse(xml)
