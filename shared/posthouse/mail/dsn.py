"""Delivery status notifications: the mail that tells a sender what became of a mail.

A report is a ``multipart/report`` (RFC 6522) of three parts: a text for people, in their language, a
``message/delivery-status`` for programs (RFC 3464), and the header of the mail it speaks of, or
all of that mail if its sender wants it back (RFC 3461 §4.3). It is 7-bit whatever it speaks of, so
that it arrives everywhere a report must, but for two things: a sender whose own address is not
ASCII gets a header in UTF-8 (RFC 6531 §3.1), and an 8-bit mail goes back as it is. A sender who
used SMTPUTF8 gets the second and third part in their global forms (RFC 6533 §4, §6), which name
addresses as they are. Same report in, same octets out.
"""

from __future__ import annotations

import quopri
import re
import textwrap
from datetime import UTC, datetime
from email.utils import format_datetime

from posthouse.mail.handling import decoded, in_ascii, unescaped
from posthouse.mail.header import first, header_end
from posthouse.mail.report import Fate, Report
from posthouse.mail.report_text import (
    MAX_REPLY_CHARACTERS,
    TEXT_COLUMNS,
    author_of,
    flat,
    is_quoted,
    subject_of,
    text_of,
)
from posthouse.mail.wording import Wording

MAX_LINE_OCTETS = 998  # RFC 5322 §2.1.1
MAX_ORIGINAL_OCTETS = 65_536  # more of the header than this helps nobody
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")
_NOT_XTEXT = re.compile(r"[^\x21-\x5b\x5d-\x7e]")


def compose_dsn(report: Report, wording: Wording) -> bytes:
    """Return the whole report, CRLF lines, ready to be stored and sent.

    Args:
        report: What is to be told.
        wording: The words for people.
    """
    boundary = f"posthouse-{report.id.hex}"
    marker = f"--{boundary}\r\n".encode()
    return b"".join(
        (
            _header(report, wording, boundary),
            marker,
            _text_part(report, wording),
            marker,
            _status_part(report),
            marker,
            _original_part(report),
            f"--{boundary}--\r\n".encode(),
        )
    )


def _header(report: Report, wording: Wording, boundary: str) -> bytes:
    status = "global-delivery-status" if report.is_global else "delivery-status"
    lines = (
        f"From: {author_of(report, wording)}",
        f"To: {report.to}",
        f"Subject: {subject_of(report, wording)}",
        f"Date: {_date(report.made)}",
        f"Message-ID: {report.message_id}",
        "Auto-Submitted: auto-replied",  # RFC 3834 §5.1: nobody's vacation answers it
        "MIME-Version: 1.0",
        f"Content-Type: multipart/report; report-type={status};",
        f'\tboundary="{boundary}"',
    )
    meant = _MESSAGE_ID.search(first(report.original, b"message-id"))
    names = ("In-Reply-To", "References") if meant else ()  # RFC 3834 §3.1.5
    reference = tuple(f"{name}: {meant[0]}" for name in names if meant)
    return _lines(*reference, *lines, "", "This is a report about a mail, in MIME format.", "")


def _text_part(report: Report, wording: Wording) -> bytes:
    language = f"Content-Language: {wording.language}"
    return _part("text/plain; charset=utf-8", text_of(report, wording).encode(), language)


def _status_part(report: Report) -> bytes:
    groups = [_message_fields(report), *(_fields_of(report, fate) for fate in report.fates)]
    body = "\n\n".join("\n".join(group) for group in groups)
    kind = "global-delivery-status" if report.is_global else "delivery-status"
    return _part(f"message/{kind}", body.encode())


def _message_fields(report: Report) -> list[str]:
    """The per-message fields (RFC 3464 §2.2)."""
    name = [f"Original-Envelope-Id: {decoded(report.envid)}"] if report.envid else []
    by, hold = report.deliver_by, report.hold
    when = [f"Deliver-By-Date: {_date(by)}"] if by else []  # RFC 2852 §5
    when += [f"Future-Release-Request: {hold}"] if hold else []  # RFC 4865 §5.1.2
    return [
        *name,
        f"Reporting-MTA: dns; {report.host}",
        f"X-Posthouse-Id: {report.subject_id}",
        f"X-Posthouse-Sender: {_typed(report.sender, report) if report.sender else 'rfc822; <>'}",
        f"Arrival-Date: {_date(report.arrived)}",
        *when,
    ]


def _fields_of(report: Report, fate: Fate) -> list[str]:
    """The fields of one recipient (RFC 3464 §2.3), in the order given there."""
    fields = [f"Original-Recipient: {_original(fate.orcpt, report)}"] if fate.orcpt else []
    fields += [
        f"Final-Recipient: {_typed(fate.address, report)}",
        f"Action: {fate.action}",
        f"Status: {fate.status.dotted}",
    ]
    if fate.host:
        fields.append(f"Remote-MTA: dns; {_ascii(fate.host.partition(' ')[0])}")
    if fate.reply:
        kind = "smtp" if is_quoted(fate) else "x-posthouse"
        said = flat(fate.reply) if report.is_global else _ascii(flat(fate.reply))
        fields.append(_fold(f"Diagnostic-Code: {kind}; {said}"))
    fields.append(f"Last-Attempt-Date: {_date(report.made)}")
    if fate.action == "delayed" and report.retry_until is not None:
        fields.append(f"Will-Retry-Until: {_date(report.retry_until)}")
    return fields


def _original_part(report: Report) -> bytes:
    """The mail, or its header (RFC 6522 §4), the latter quoted-printable if not 7-bit legal."""
    if report.content is not None:
        return _whole(report.content)
    header = report.original[:MAX_ORIGINAL_OCTETS].replace(b"\r\n", b"\n").rstrip(b"\n")
    if report.is_global and not header.isascii():
        return _part("message/global-headers", header)
    return _part("text/rfc822-headers; charset=utf-8", header)


def can_go_back(content: bytes) -> bool:
    """True if ``content`` can stand in a report as it is: no NUL, no bare CR or LF, short lines."""
    lines = content.split(b"\r\n")
    if b"\0" in content or max(map(len, lines)) > MAX_LINE_OCTETS:
        return False
    return content.count(b"\r") == content.count(b"\n") == len(lines) - 1


def _whole(content: bytes) -> bytes:
    """A mail within a report (RFC 2046 §5.2.1), of which `can_go_back` is true.

    One whose header is not ASCII is ``message/global`` (RFC 6532 §3.7).
    """
    kind = "rfc822" if content[: header_end(content)].isascii() else "global"
    encoding = "7bit" if content.isascii() else "8bit"
    head = _lines(f"Content-Type: message/{kind}", f"Content-Transfer-Encoding: {encoding}", "")
    return head + content + b"\r\n"


def _part(content_type: str, body: bytes, *fields: str) -> bytes:
    """A body part of ``body`` (LF lines), encoded only if it must be (RFC 2045 §6).

    A ``message/delivery-status`` never must: its fields are ASCII and folded by construction. The
    global forms may be (RFC 6533 §6.2, §6.3).
    """
    encoding, body = "7bit", body + b"\n"
    if not _is_plain(body):
        encoding, body = "quoted-printable", quopri.encodestring(body)
    about = (f"Content-Type: {content_type}", *fields, f"Content-Transfer-Encoding: {encoding}")
    head = _lines(*about, "")
    return head + body.replace(b"\n", b"\r\n") + b"\r\n"


def _is_plain(body: bytes) -> bool:
    """True for 7-bit text with lines of at most 998 octets (RFC 5322 §2.1.1)."""
    if not body.isascii() or b"\r" in body or b"\0" in body:
        return False
    return max(map(len, body.split(b"\n"))) <= MAX_LINE_OCTETS


def _typed(address: str, report: Report) -> str:
    """An address with its type; what is not ASCII as it is, or as xtext (RFC 6533 §3)."""
    if address.isascii():
        return f"rfc822; {address}"
    if report.is_global:
        return f"utf-8; {address}"
    return "utf-8; " + _NOT_XTEXT.sub(lambda hit: rf"\x{{{ord(hit[0]):04X}}}", address)


def _original(orcpt: str, report: Report) -> str:
    """ORCPT as a field's value: no longer xtext (RFC 3461 §6.3, d); ASCII, or global."""
    kind, _, address = orcpt.partition(";")
    meant = decoded(address)[:MAX_REPLY_CHARACTERS]
    if report.is_global and kind.lower() == "utf-8":
        meant = unescaped(meant)
    return f"{kind}; {meant if report.is_global else in_ascii(meant)}"


def _fold(field: str) -> str:
    """Fold a long field at spaces (RFC 5322 §2.2.3); a longer word is broken."""
    return textwrap.fill(field, TEXT_COLUMNS, subsequent_indent=" ", break_on_hyphens=False)


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


def _date(moment: datetime) -> str:
    """RFC 5322 §3.3."""
    return format_datetime(moment.astimezone(UTC))


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()
