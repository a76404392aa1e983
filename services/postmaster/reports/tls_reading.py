"""Reports of others on their TLS sessions with our servers, read as what strangers wrote (RFC 8460 §4.4).

Bounded is how large the document is; what it has to say makes each of its parts so long that they
cannot be many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated

import msgspec

from posthouse.mail.idn import a_labels
from postmaster.reports.received import BadReport, Received

MAX_JSON_OCTETS = 5 * 2**20
MAX_CHARACTERS = 1000  # of one value
MAX_DOMAINS = 20  # of one report
MAX_FAILURES = 50_000
_FIRST_YEAR, _LAST_YEAR = 1970, 2100

_Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class _Part(msgspec.Struct, frozen=True, rename="kebab"):
    """What names have hyphens in."""


class _Policy(_Part, frozen=True, rename="kebab"):
    policy_type: str
    policy_domain: str


class _Summary(_Part, frozen=True, rename="kebab"):
    total_successful_session_count: _Count
    total_failure_session_count: _Count


class _Failure(_Part, frozen=True, rename="kebab"):
    result_type: str
    failed_session_count: _Count
    sending_mta_ip: str | None = None
    receiving_mx_hostname: str | None = None
    receiving_ip: str | None = None
    failure_reason_code: str | None = None


class _Told(_Part, frozen=True, rename="kebab"):
    policy: _Policy
    summary: _Summary
    failure_details: tuple[_Failure, ...] | None = None


class _Range(_Part, frozen=True, rename="kebab"):
    start_datetime: datetime
    end_datetime: datetime


class _Document(_Part, frozen=True, rename="kebab"):
    organization_name: str
    date_range: _Range
    report_id: str
    policies: tuple[_Told, ...]


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions that went the same way.

    Attributes:
        policy: What their sender found of ours: ``sts``, ``tlsa``, ``no-policy-found``.
        sessions: How many.
        failure: How they failed; empty: they did not.
        source: The address they came from,
        host: our server,
        address: and its address.
        why: More of the failure.
    """

    policy: str
    sessions: int
    failure: str = ""
    source: str = ""
    host: str = ""
    address: str = ""
    why: str = ""

    @property
    def count(self) -> int:
        """How many sessions."""
        return self.sessions

    @property
    def has_passed(self) -> bool:
        """They did not fail."""
        return not self.failure


def is_tls_report(document: bytes) -> bool:
    """Return True if ``document`` looks like one."""
    return document[:100].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and (
        b'"policies"' in document and b'"report-id"' in document
    )


def parse(document: bytes) -> tuple[Received, ...]:
    """Return what the JSON says, of each domain one report; raise `BadReport`."""
    if len(document) > MAX_JSON_OCTETS:
        raise BadReport("too long")
    try:
        said = msgspec.json.decode(
            document.removeprefix(b"\xef\xbb\xbf"), type=_Document, strict=False
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise BadReport(f"no report: {wrong}") from wrong
    if sum(len(each.failure_details or ()) for each in said.policies) > MAX_FAILURES:
        raise BadReport("too many failures")
    begins, ends = _moment(said.date_range.start_datetime), _moment(said.date_range.end_datetime)
    by_domain: dict[str, list[Sessions]] = {}
    for each in said.policies:
        domain = a_labels(each.policy.policy_domain.lower().removesuffix("."))[:MAX_CHARACTERS]
        by_domain.setdefault(domain, []).extend(_sessions(each))
    return tuple(
        Received(
            organization=said.organization_name[:MAX_CHARACTERS],
            report_id=said.report_id[:MAX_CHARACTERS],
            domain=domain,
            begins=begins,
            ends=ends,
            sources=tuple(sessions),
        )
        for domain, sessions in islice(by_domain.items(), MAX_DOMAINS)
    )


def _sessions(told: _Told) -> Iterator[Sessions]:
    """Yield what went well and what did not; also what the details do not explain."""
    kind, summary = told.policy.policy_type[:MAX_CHARACTERS], told.summary
    if summary.total_successful_session_count:
        yield Sessions(kind, summary.total_successful_session_count)
    unexplained = summary.total_failure_session_count
    for each in told.failure_details or ():
        unexplained -= each.failed_session_count
        texts = (
            each.result_type or "unknown", each.sending_mta_ip, each.receiving_mx_hostname,
            each.receiving_ip, each.failure_reason_code,
        )  # fmt: skip
        yield Sessions(
            kind, each.failed_session_count, *((text or "")[:MAX_CHARACTERS] for text in texts)
        )
    if unexplained > 0:
        yield Sessions(kind, unexplained, "unknown")


def _moment(time: datetime) -> datetime:
    if not _FIRST_YEAR <= time.year < _LAST_YEAR:
        raise BadReport("no time of this century")
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
