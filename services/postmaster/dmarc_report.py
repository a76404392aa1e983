"""The aggregate report on a day's mail of one domain: its XML, its mail. Pure (RFC 7489 §7.2, appendix C)."""

from __future__ import annotations

import base64
import gzip
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from xml.sax.saxutils import escape

from posthouse.mail.header import format_date
from posthouse.storage.dmarc_results import DmarcResult, Facts
from postmaster.tls_report import Letterhead

LAST_SECOND = 86_399
_LINE_CHARACTERS = 76  # RFC 2045 §6.8
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 §2.2
_VERSION = "1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class DmarcReport:
    """One report, ready to go.

    Attributes:
        domain: Whose.
        day: Of the messages, in UTC.
        id: The same each time it is made.
        content: The XML, by gzip.
    """

    domain: str
    day: date
    id: str
    content: bytes

    @property
    def begins(self) -> int:
        """The first second of the day, since 1970."""
        return int(datetime.combine(self.day, time(), UTC).timestamp())


def compose(
    head: Letterhead, day: date, domain: str, results: Sequence[DmarcResult]
) -> DmarcReport:
    """Return the report on ``results``, all of ``day`` and ``domain``."""
    empty = DmarcReport(
        domain=domain, day=day, id=f"{day:%Y%m%d}.{domain}@{head.host}", content=b""
    )
    lines = (
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<feedback>",
        _leaf("version", _VERSION),
        *_metadata(head, empty),
        *_policy(domain, results),
        *(line for each in results for line in _record(each)),
        "</feedback>",
        "",
    )
    content = gzip.compress("\n".join(lines).encode(), mtime=0)
    return DmarcReport(domain=domain, day=day, id=empty.id, content=content)


def _metadata(head: Letterhead, report: DmarcReport) -> Iterator[str]:
    yield "<report_metadata>"
    yield _leaf("org_name", head.organization)
    yield _leaf("email", head.address)
    yield _leaf("report_id", report.id)
    yield "<date_range>"
    yield _leaf("begin", report.begins)
    yield _leaf("end", report.begins + LAST_SECOND)
    yield "</date_range>"
    yield "</report_metadata>"


def _policy(domain: str, results: Sequence[DmarcResult]) -> Iterator[str]:
    """Yield what was published; of several records on one day the one that most messages met."""
    met = Counter[str]()
    for each in results:
        met[each.facts.published] += each.messages
    published = met.most_common(1)[0][0] if met else ""
    tags = dict(part.split("=", 1) for part in published.split("; ") if "=" in part)
    yield "<policy_published>"
    yield _leaf("domain", domain)
    for name in ("adkim", "aspf", "p", "sp", "pct"):
        yield _leaf(name, tags.get(name, ""))
    yield "</policy_published>"


def _record(result: DmarcResult) -> Iterator[str]:
    facts = result.facts
    yield "<record>"
    yield "<row>"
    yield _leaf("source_ip", facts.source)
    yield _leaf("count", result.messages)
    yield "<policy_evaluated>"
    yield _leaf("disposition", facts.disposition)
    yield _leaf("dkim", "pass" if facts.dkim else "fail")
    yield _leaf("spf", "pass" if facts.spf else "fail")
    if facts.reason:
        comment = _leaf("comment", facts.comment) if facts.comment else ""
        yield f"<reason>{_leaf('type', facts.reason)}{comment}</reason>"
    yield "</policy_evaluated>"
    yield "</row>"
    yield "<identifiers>"
    yield _leaf("envelope_from", facts.sender)
    yield _leaf("header_from", facts.author)
    yield "</identifiers>"
    yield from _auth_results(facts)
    yield "</record>"


def _auth_results(facts: Facts) -> Iterator[str]:
    yield "<auth_results>"
    for each in facts.signatures:
        selector = _leaf("selector", each.selector) if each.selector else ""
        yield f"<dkim>{_leaf('domain', each.domain)}{selector}{_leaf('result', each.result)}</dkim>"
    scope = _leaf("scope", facts.spf_scope)
    domain, result = _leaf("domain", facts.spf_domain), _leaf("result", facts.spf_result)
    yield f"<spf>{domain}{scope}{result}</spf>"
    yield "</auth_results>"


def _leaf(name: str, value: object) -> str:
    return f"<{name}>{escape(_NOT_XML.sub('?', str(value)))}</{name}>"


def file_name(head: Letterhead, report: DmarcReport) -> str:
    """Return the name of the report's file (§7.2.1.1)."""
    end = report.begins + LAST_SECOND
    return f"{head.host}!{report.domain}!{report.begins}!{end}.xml.gz"


def compose_mail(
    head: Letterhead, report: DmarcReport, to: Sequence[str], message_id: str, now: datetime
) -> bytes:
    """Return the mail that brings ``report`` (§7.2.1.1)."""
    name = file_name(head, report)
    boundary = f"posthouse-{message_id.partition('@')[0].strip('<')}"
    content = base64.b64encode(report.content).decode()
    text = (
        f"This is an aggregate DMARC report from {head.organization}: what became of mail that said "
        f"it was of {report.domain} on {report.day:%F} (UTC). It is meant for programs; see RFC 7489."
    )
    lines = (
        f"From: {head.address}",
        f"To: {', '.join(to)}",
        f"Subject: Report Domain: {report.domain} Submitter: {head.host}",
        f" Report-ID: <{report.id}>",
        f"Date: {format_date(now)}",
        f"Message-ID: {message_id}",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/mixed; boundary="{boundary}"',
        "",
        f"--{boundary}",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        *textwrap.wrap(text, _LINE_CHARACTERS),
        "",
        f"--{boundary}",
        f'Content-Type: application/gzip; name="{name}"',
        f'Content-Disposition: attachment; filename="{name}"',
        "Content-Transfer-Encoding: base64",
        "",
        *(content[at : at + _LINE_CHARACTERS] for at in range(0, len(content), _LINE_CHARACTERS)),
        f"--{boundary}--",
        "",
    )
    return "\r\n".join(lines).encode()
