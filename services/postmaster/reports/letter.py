"""The mail that brings a report (RFC 7489 §7.2.1.1, RFC 8460 §5.3): words for people, a file for programs."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from posthouse.mail.header import format_date

LAST_SECOND = 86_399  # of a day
_LINE_CHARACTERS = 76  # RFC 2045 §6.8


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
class Form:
    """How one kind of reports looks.

    Attributes:
        container: The mail's Content-Type, without its boundary.
        media_type: The file's.
        extension: Of its name.
        about: What it is, in a sentence before "It is meant for programs".
        fields: More of the header.
    """

    container: str
    media_type: str
    extension: str
    about: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report, ready to go.

    Attributes:
        domain: Whose, in A-labels.
        day: Of what it tells, in UTC.
        id: The same each time it is made (RFC 8460 §4.4).
        content: What it says, by gzip; the same each time, too.
        form: How it looks.
    """

    domain: str
    day: date
    id: str
    content: bytes
    form: Form

    @property
    def begins(self) -> int:
        """The first second of the day, since 1970."""
        return first_second(self.day)


def first_second(day: date) -> int:
    """Return when ``day`` begins in UTC, in seconds since 1970."""
    return int(datetime.combine(day, time(), UTC).timestamp())


def file_name(head: Letterhead, report: Report) -> str:
    """Return the name of the report's file (RFC 7489 §7.2.1.1, RFC 8460 §5.1)."""
    end = report.begins + LAST_SECOND
    return f"{head.host}!{report.domain}!{report.begins}!{end}.{report.form.extension}"


def encoded_octets(report: Report) -> int:
    """Return how large the report's file is in a mail: base64, in lines."""
    characters = -(-len(report.content) // 3) * 4
    return characters + -(-characters // _LINE_CHARACTERS) * len("\r\n")


def compose_mail(
    head: Letterhead, report: Report, to: Sequence[str], message_id: str, now: datetime
) -> bytes:
    """Return the mail that brings ``report``."""
    boundary = f"posthouse-{message_id.partition('@')[0].strip('<')}"
    lines = (
        f"From: {head.address}",
        f"To: {', '.join(to)}",
        f"Subject: Report Domain: {report.domain} Submitter: {head.host}",
        f" Report-ID: <{report.id}>",
        f"Date: {format_date(now)}",
        f"Message-ID: {message_id}",
        *report.form.fields,
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        f"Content-Type: {report.form.container};",
        f' boundary="{boundary}"',
        "",
        f"--{boundary}",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        *textwrap.wrap(f"{report.form.about} It is meant for programs.", _LINE_CHARACTERS),
        "",
        f"--{boundary}",
        *_attachment(report, file_name(head, report)),
        f"--{boundary}--",
        "",
    )
    return "\r\n".join(lines).encode()


def _attachment(report: Report, name: str) -> tuple[str, ...]:
    content = base64.b64encode(report.content).decode()
    return (
        f'Content-Type: {report.form.media_type}; name="{name}"',
        f'Content-Disposition: attachment; filename="{name}"',
        "Content-Transfer-Encoding: base64",
        "",
        *(content[at : at + _LINE_CHARACTERS] for at in range(0, len(content), _LINE_CHARACTERS)),
    )
