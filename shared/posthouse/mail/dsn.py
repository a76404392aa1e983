"""Delivery status notifications: the mail that tells a sender what became of a mail.

A report is a ``multipart/report`` (RFC 6522) of three parts: a text for people, a
``message/delivery-status`` for programs (RFC 3464), and the header of the mail it speaks of. It
is 7-bit whatever it speaks of, so that it arrives everywhere a report must; only a sender whose
own address is not ASCII gets a header in UTF-8 (RFC 6531 §3.1). Same report in, same octets out.
"""

from __future__ import annotations

import quopri
import re
import textwrap
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Literal, TypeAlias
from uuid import UUID

from posthouse.mail.header import first
from posthouse.mail.status import Status

Action: TypeAlias = Literal["failed", "delayed"]  # RFC 3464 §2.3.3

MAX_ORIGINAL_OCTETS = 65_536  # more of the header than this helps nobody
_TEXT_COLUMNS = 76
_MAX_REPLY_CHARACTERS = 900  # a Diagnostic-Code stays well below the line limit, folded
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")
_NOT_XTEXT = re.compile(r"[^\x21-\x5b\x5d-\x7e]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What happened to one recipient.

    Attributes:
        address: Where we tried to deliver (Final-Recipient).
        status: Why; its enhanced code goes into ``Status`` (RFC 3464 §2.3.4).
        reply: What the server outside said, or we of ourselves.
        host: The server that said so, as ``name [address]``; empty if it was us.
        original: The address the sender wrote, if it was another one.
        action: ``failed`` for ever, or ``delayed`` and still being tried.
    """

    address: str
    status: Status
    reply: str
    host: str = ""
    original: str = ""
    action: Action = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a report says.

    Attributes:
        id: The report's own id; makes its Message-ID and its boundary.
        host: Our name (Reporting-MTA).
        made: When this report was written (UTC).
        to: Whom it is sent to.
        subject_id: The id of the message it speaks of.
        sender: The reverse path of that message; empty for a double bounce.
        arrived: When we took responsibility for that message (UTC).
        failures: One per recipient; never empty.
        original: The header octets of that message; cut at `MAX_ORIGINAL_OCTETS`.
        retry_until: When a delayed recipient is given up (RFC 3464 §2.3.9).
    """

    id: UUID
    host: str
    made: datetime
    to: str
    subject_id: UUID
    sender: str
    arrived: datetime
    failures: tuple[Failure, ...]
    original: bytes
    retry_until: datetime | None = None

    @property
    def message_id(self) -> str:
        """The Message-ID field's value."""
        return f"<{self.id}@{self.host}>"

    @property
    def smtputf8(self) -> bool:
        """True if the report itself needs SMTPUTF8: its recipient is no ASCII address."""
        return not self.to.isascii()


def compose_dsn(report: Report) -> bytes:
    """Return the whole report, CRLF lines, ready to be stored and sent."""
    boundary = f"posthouse-{report.id.hex}"
    marker = f"--{boundary}\r\n".encode()
    return b"".join(
        (
            _header(report, boundary),
            marker,
            _text_part(report),
            marker,
            _status_part(report),
            marker,
            _original_part(report),
            f"--{boundary}--\r\n".encode(),
        )
    )


def _header(report: Report, boundary: str) -> bytes:
    subject = (
        "Your mail could not be delivered"
        if _has_failed(report)
        else "Your mail is late; it is still being tried"
    )
    lines = (
        f"From: Mail Delivery System <MAILER-DAEMON@{report.host}>",
        f"To: {report.to}",
        f"Subject: {subject}",
        f"Date: {_date(report.made)}",
        f"Message-ID: {report.message_id}",
        "Auto-Submitted: auto-replied",  # RFC 3834 §5.1: nobody's vacation answers it
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        f'\tboundary="{boundary}"',
    )
    meant = _MESSAGE_ID.search(first(report.original, b"message-id"))
    reference = (f"In-Reply-To: {meant[0]}",) if meant else ()  # RFC 3834 §3.1.5
    return _lines(*reference, *lines, "", "This is a report about a mail, in MIME format.", "")


def _text_part(report: Report) -> bytes:
    failed = _has_failed(report)
    opening = (
        f"This is the mail system at {report.host}. Your mail could not be delivered to the "
        "recipients below. It will not be tried again; what to do depends on the reason given."
        if failed
        else f"This is the mail system at {report.host}. Your mail has not yet reached the "
        "recipients below. THIS IS ONLY A WARNING: you need not send it again, it is still being "
        "tried."
    )
    blocks = [_wrap(opening), *map(_told, report.failures)]
    if not failed and report.retry_until is not None:
        blocks.append(_wrap(f"It will be given up on {_date(report.retry_until)}."))
    blocks.append(_wrap("The header of your mail is attached."))
    return _part("text/plain; charset=utf-8", "\n\n".join(blocks).encode())


def _told(failure: Failure) -> str:
    meant = f" (you wrote to {failure.original})" if failure.original else ""
    said = f"{failure.host} said:" if _is_quoted(failure) else f"{failure.host or 'The reason'}:"
    return f"<{failure.address}>{meant}:\n" + _wrap(f"{said} {_flat(failure.reply)}", "    ")


def _is_quoted(failure: Failure) -> bool:
    """True if the reply is a server's own; else we say what happened with it."""
    return bool(failure.host) and failure.reply[:3].isdecimal()


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, _TEXT_COLUMNS, initial_indent=indent, subsequent_indent=indent,
        break_on_hyphens=False,
    )  # fmt: skip


def _status_part(report: Report) -> bytes:
    groups = [_message_fields(report), *(_fields_of(report, each) for each in report.failures)]
    body = "\n\n".join("\n".join(group) for group in groups)
    return _part("message/delivery-status", body.encode())


def _message_fields(report: Report) -> list[str]:
    """The per-message fields (RFC 3464 §2.2)."""
    return [
        f"Reporting-MTA: dns; {report.host}",
        f"X-Posthouse-Id: {report.subject_id}",
        f"X-Posthouse-Sender: {_typed(report.sender) if report.sender else 'rfc822; <>'}",
        f"Arrival-Date: {_date(report.arrived)}",
    ]


def _fields_of(report: Report, failure: Failure) -> list[str]:
    """The fields of one recipient (RFC 3464 §2.3), in the order given there."""
    fields = [f"Original-Recipient: {_typed(failure.original)}"] if failure.original else []
    fields += [
        f"Final-Recipient: {_typed(failure.address)}",
        f"Action: {failure.action}",
        f"Status: {failure.status.dotted}",
    ]
    if failure.host:
        fields.append(f"Remote-MTA: dns; {_ascii(failure.host.partition(' ')[0])}")
    kind = "smtp" if _is_quoted(failure) else "x-posthouse"
    fields.append(_fold(f"Diagnostic-Code: {kind}; {_ascii(_flat(failure.reply))}"))
    fields.append(f"Last-Attempt-Date: {_date(report.made)}")
    if failure.action == "delayed" and report.retry_until is not None:
        fields.append(f"Will-Retry-Until: {_date(report.retry_until)}")
    return fields


def _original_part(report: Report) -> bytes:
    """The header of the message (RFC 6522 §4); quoted-printable when it is not 7-bit legal."""
    header = report.original[:MAX_ORIGINAL_OCTETS].replace(b"\r\n", b"\n").rstrip(b"\n")
    return _part("text/rfc822-headers; charset=utf-8", header)


def _part(content_type: str, body: bytes) -> bytes:
    """A body part of ``body`` (LF lines), encoded only if it must be (RFC 2045 §6).

    A delivery status never must: its fields are ASCII and folded by construction.
    """
    encoding, body = "7bit", body + b"\n"
    if not _is_plain(body):
        encoding, body = "quoted-printable", quopri.encodestring(body)
    head = _lines(f"Content-Type: {content_type}", f"Content-Transfer-Encoding: {encoding}", "")
    return head + body.replace(b"\n", b"\r\n") + b"\r\n"


def _is_plain(body: bytes) -> bool:
    """True for 7-bit text with lines of at most 998 octets (RFC 5322 §2.1.1)."""
    if not body.isascii() or b"\r" in body or b"\0" in body:
        return False
    return max(map(len, body.split(b"\n"))) <= 998  # noqa: PLR2004 - the limit itself


def _typed(address: str) -> str:
    """An address with its type; what is not ASCII as ``utf-8-addr-xtext`` (RFC 6533 §3)."""
    if address.isascii():
        return f"rfc822; {address}"
    return "utf-8; " + _NOT_XTEXT.sub(lambda hit: rf"\x{{{ord(hit[0]):04X}}}", address)


def _fold(field: str) -> str:
    """Fold a long field at spaces (RFC 5322 §2.2.3); a longer word is broken."""
    return textwrap.fill(field, _TEXT_COLUMNS, subsequent_indent=" ", break_on_hyphens=False)


def _flat(reply: str) -> str:
    """A reply as one line of bounded length, without controls."""
    return _CONTROLS.sub(" ", reply).strip()[:_MAX_REPLY_CHARACTERS] or "no reason given"


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


def _date(moment: datetime) -> str:
    """RFC 5322 §3.3."""
    return format_datetime(moment.astimezone(UTC))


def _has_failed(report: Report) -> bool:
    return any(failure.action == "failed" for failure in report.failures)


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()
