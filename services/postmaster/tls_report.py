"""The report on a day's sessions with one domain: whom it goes to, its JSON, its mail. Pure (RFC 8460).

_smtp._tls.example.org  TXT "v=TLSRPTv1; rua=mailto:tls@example.org,https://tls.example.org/v1"
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import unquote

import idna

from posthouse.mail.address import BadAddress, parse_address
from posthouse.mail.header import format_date
from posthouse.storage.tls_results import Result

VERSION = "TLSRPTv1"
MEDIA_TYPE = "application/tlsrpt+gzip"  # §6.5
MAX_PLACES = 5  # that one report goes to
MAX_URL_CHARACTERS = 1000
_LINE_CHARACTERS = 76  # RFC 2045 §6.8

_URL = re.compile(r"https://[!-~]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a domain wants its reports.

    Attributes:
        addresses: Of mail.
        urls: To be posted to.
    """

    addresses: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """Who reports.

    Attributes:
        host: Our name.
        organization: What people call us.
        address: Who answers questions; From and the contact.
    """

    host: str
    organization: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsReport:
    """One report, ready to go.

    Attributes:
        domain: Whose.
        day: Of the sessions, in UTC.
        id: The same each time it is made (§4.4).
        content: The JSON, by gzip; the same each time, too.
    """

    domain: str
    day: date
    id: str
    content: bytes


def places_in(records: Iterable[str]) -> Places | None:
    """Return where reports go, None if nobody wants them: there is not one valid record (§3)."""
    texts = [text for text in records if text.partition(";")[0].strip() == f"v={VERSION}"]
    if len(texts) != 1:
        return None
    fields = (field.strip().partition("=") for field in texts[0].split(";")[1:])
    wanted = next((value for name, _, value in fields if name.strip() == "rua"), "")
    uris = list(dict.fromkeys(uri.strip() for uri in wanted.split(",")))[:MAX_PLACES]
    addresses = tuple(filter(None, map(_address, uris)))
    urls = tuple(uri for uri in uris if len(uri) <= MAX_URL_CHARACTERS and _URL.fullmatch(uri))
    return Places(addresses, urls) if addresses or urls else None


def _address(uri: str) -> str:
    """Return the address in ``mailto:...`` (RFC 6068 §2), empty if there is none that will do."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != "mailto":
        return ""
    try:
        address = str(parse_address(unquote(rest.partition("?")[0])))
    except BadAddress:
        return ""
    return address if address.isascii() else ""


def compose(head: Letterhead, day: date, domain: str, results: Sequence[Result]) -> TlsReport:
    """Return the report on ``results``, all of ``day`` and ``domain``."""
    start = datetime.combine(day, time(), UTC)
    end = start + timedelta(days=1) - timedelta(seconds=1)
    ident = f"{start:%FT%TZ}_{domain}_{head.host}"
    ordered = sorted(results, key=lambda result: result.kind)
    document = {
        "organization-name": head.organization,
        "date-range": {"start-datetime": f"{start:%FT%TZ}", "end-datetime": f"{end:%FT%TZ}"},
        "contact-info": head.address,
        "report-id": ident,
        "policies": [
            _policy(domain, kind, list(group))
            for kind, group in groupby(ordered, key=lambda result: result.kind)
        ],
    }
    octets = json.dumps(document, ensure_ascii=False, indent=1).encode()
    return TlsReport(domain=domain, day=day, id=ident, content=gzip.compress(octets, mtime=0))


def _policy(domain: str, kind: str, results: Sequence[Result]) -> dict[str, Any]:
    lines = next((list(result.policy) for result in results if result.policy), [])
    policy: dict[str, Any] = {"policy-type": kind, "policy-domain": _in_ascii(domain)}
    if lines:
        policy["policy-string"] = lines
    patterns = [line.partition(": ")[2] for line in lines if line.startswith("mx: ")]
    if patterns:
        policy["mx-host"] = patterns
    failed = [result for result in results if result.failure]
    worked = sum(result.sessions for result in results if not result.failure)
    said: dict[str, Any] = {
        "policy": policy,
        "summary": {
            "total-successful-session-count": worked,
            "total-failure-session-count": sum(result.sessions for result in failed),
        },
    }
    if failed:
        said["failure-details"] = list(map(_failure, failed))
    return said


def _failure(result: Result) -> dict[str, Any]:
    told: dict[str, Any] = {
        "result-type": result.failure,
        "sending-mta-ip": result.source,
        "receiving-mx-hostname": result.host,
        "receiving-ip": result.address,
        "failure-reason-code": result.why,
    }
    return {name: value for name, value in told.items() if value} | {
        "failed-session-count": result.sessions
    }


def _in_ascii(domain: str) -> str:
    """Return A-labels (§4.4); a domain that has none as it is."""
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return domain


def file_name(head: Letterhead, report: TlsReport) -> str:
    """Return the name of the report's file (§5.1)."""
    start = int(datetime.combine(report.day, time(), UTC).timestamp())
    return f"{head.host}!{_in_ascii(report.domain)}!{start}!{start + 86_399}.json.gz"


def compose_mail(
    head: Letterhead, report: TlsReport, to: Sequence[str], message_id: str, now: datetime
) -> bytes:
    """Return the mail that brings ``report``: multipart/report; report-type=tlsrpt (§5.3)."""
    domain, name = _in_ascii(report.domain), file_name(head, report)
    boundary = f"posthouse-{message_id.partition('@')[0].strip('<')}"
    lines = (
        f"From: {head.address}",
        f"To: {', '.join(to)}",
        f"Subject: Report Domain: {domain} Submitter: {head.host}",
        f" Report-ID: <{report.id}>",
        f"Date: {format_date(now)}",
        f"Message-ID: {message_id}",
        f"TLS-Report-Domain: {domain}",
        f"TLS-Report-Submitter: {head.host}",
        "TLS-Required: No",  # §3: also to servers whose TLS fails
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        'Content-Type: multipart/report; report-type="tlsrpt";',
        f' boundary="{boundary}"',
        "",
        f"--{boundary}",
        *_text_part(head, report),
        f"--{boundary}",
        *_attachment(report, name),
        f"--{boundary}--",
        "",
    )
    return "\r\n".join(lines).encode()


def _text_part(head: Letterhead, report: TlsReport) -> tuple[str, ...]:
    text = (
        f"This is an aggregate TLS report from {head.organization}: how our sessions with the mail "
        f"servers of {_in_ascii(report.domain)} went on {report.day:%F} (UTC). It is meant for "
        "programs; see RFC 8460."
    )
    words = textwrap.wrap(text, _LINE_CHARACTERS)
    return ("Content-Type: text/plain; charset=us-ascii", "", *words, "")


def _attachment(report: TlsReport, name: str) -> tuple[str, ...]:
    content = base64.b64encode(report.content).decode()
    return (
        f'Content-Type: {MEDIA_TYPE}; name="{name}"',
        f'Content-Disposition: attachment; filename="{name}"',
        "Content-Transfer-Encoding: base64",
        "",
        *(content[at : at + _LINE_CHARACTERS] for at in range(0, len(content), _LINE_CHARACTERS)),
    )
