"""Delivery status notifications: the mail that tells a sender what became of a mail.

A report is a ``multipart/report`` (RFC 6522) of three parts: a text for people, a
``message/delivery-status`` for programs (RFC 3464), and the header of the mail it speaks of, or
all of that mail if its sender wants it back (RFC 3461 §4.3). It is 7-bit whatever it speaks of, so
that it arrives everywhere a report must, but for two things: a sender whose own address is not
ASCII gets a header in UTF-8 (RFC 6531 §3.1), and an 8-bit mail goes back as it is. Same report in,
same octets out.
"""

from __future__ import annotations

import quopri
import re
import textwrap
from datetime import UTC, datetime
from email.utils import format_datetime

from posthouse.mail.handling import decoded, in_ascii
from posthouse.mail.header import first, header_end
from posthouse.mail.report import Action, Fate, Report

MAX_LINE_OCTETS = 998  # RFC 5322 §2.1.1
MAX_ORIGINAL_OCTETS = 65_536  # more of the header than this helps nobody
_TEXT_COLUMNS = 76
_MAX_REPLY_CHARACTERS = 900  # a Diagnostic-Code stays well below the line limit, folded
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")
_NOT_XTEXT = re.compile(r"[^\x21-\x5b\x5d-\x7e]")

# Subject and opening of each kind.
_WORDS: dict[Action, tuple[str, str]] = {
    "failed": (
        "Your mail could not be delivered",
        (
            "Your mail could not be delivered to the recipients below. It will not be tried "
            "again; what to do depends on the reason given."
        ),
    ),
    "delayed": (
        "Your mail is late; it is still being tried",
        (
            "Your mail has not yet reached the recipients below. THIS IS ONLY A WARNING: you need "
            "not send it again, it is still being tried."
        ),
    ),
    "delivered": (
        "Your mail has arrived",
        (
            "You asked to be told: your mail has reached the recipients below. Whether they have "
            "read it is not known here."
        ),
    ),
    "relayed": (
        "Your mail was handed on",
        (
            "You asked to be told: your mail was handed on for the recipients below to the next "
            "server. If that one does not tell of its arrival, you will hear if it fails there, "
            "otherwise nothing more."
        ),
    ),
    "expanded": (
        "Your mail goes to several others",
        (
            "You asked to be told: each address below stands for others, and your mail is on its "
            "way to all of them. Nothing more is told of those it reaches."
        ),
    ),
}


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
    lines = (
        f"From: Mail Delivery System <MAILER-DAEMON@{report.host}>",
        f"To: {report.to}",
        f"Subject: {_WORDS[report.action][0]}",
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
    opening = f"This is the mail system at {report.host}. {_WORDS[report.action][1]}"
    blocks = [_wrap(opening), *map(_told, report.fates)]
    if report.action == "delayed" and report.retry_until is not None:
        blocks.append(_wrap(f"It will be given up on {_date(report.retry_until)}."))
    whole = report.content is not None
    blocks.append(f"{'Your mail' if whole else 'The header of your mail'} is attached.")
    return _part("text/plain; charset=utf-8", "\n\n".join(blocks).encode())


def _told(fate: Fate) -> str:
    meant = decoded(fate.orcpt.partition(";")[2])
    first_line = f"<{fate.address}>"
    if meant and meant.lower() != fate.address.lower():
        first_line += f" (you wrote to {meant})"
    if not fate.reply:
        return first_line
    said = f"{fate.host} said:" if _is_quoted(fate) else f"{fate.host or 'The reason'}:"
    return f"{first_line}:\n" + _wrap(f"{said} {_flat(fate.reply)}", "    ")


def _is_quoted(fate: Fate) -> bool:
    """True if the reply is a server's own; else we say what happened with it."""
    return bool(fate.host) and fate.reply[:3].isdecimal()


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, _TEXT_COLUMNS, initial_indent=indent, subsequent_indent=indent,
        break_on_hyphens=False,
    )  # fmt: skip


def _status_part(report: Report) -> bytes:
    groups = [_message_fields(report), *(_fields_of(report, fate) for fate in report.fates)]
    body = "\n\n".join("\n".join(group) for group in groups)
    return _part("message/delivery-status", body.encode())


def _message_fields(report: Report) -> list[str]:
    """The per-message fields (RFC 3464 §2.2)."""
    name = [f"Original-Envelope-Id: {decoded(report.envid)}"] if report.envid else []
    by, hold = report.deliver_by, report.hold
    when = [f"Deliver-By-Date: {_date(by)}"] if by else []  # RFC 2852 §5
    when += [f"Future-Release-Request: {hold}"] if hold else []  # RFC 4865 §6
    return [
        *name,
        f"Reporting-MTA: dns; {report.host}",
        f"X-Posthouse-Id: {report.subject_id}",
        f"X-Posthouse-Sender: {_typed(report.sender) if report.sender else 'rfc822; <>'}",
        f"Arrival-Date: {_date(report.arrived)}",
        *when,
    ]


def _fields_of(report: Report, fate: Fate) -> list[str]:
    """The fields of one recipient (RFC 3464 §2.3), in the order given there."""
    fields = [f"Original-Recipient: {_original(fate.orcpt)}"] if fate.orcpt else []
    fields += [
        f"Final-Recipient: {_typed(fate.address)}",
        f"Action: {fate.action}",
        f"Status: {fate.status.dotted}",
    ]
    if fate.host:
        fields.append(f"Remote-MTA: dns; {_ascii(fate.host.partition(' ')[0])}")
    if fate.reply:
        kind = "smtp" if _is_quoted(fate) else "x-posthouse"
        fields.append(_fold(f"Diagnostic-Code: {kind}; {_ascii(_flat(fate.reply))}"))
    fields.append(f"Last-Attempt-Date: {_date(report.made)}")
    if fate.action == "delayed" and report.retry_until is not None:
        fields.append(f"Will-Retry-Until: {_date(report.retry_until)}")
    return fields


def _original_part(report: Report) -> bytes:
    """The mail, or its header (RFC 6522 §4), the latter quoted-printable if not 7-bit legal."""
    if report.content is not None:
        return _whole(report.content)
    header = report.original[:MAX_ORIGINAL_OCTETS].replace(b"\r\n", b"\n").rstrip(b"\n")
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
    return max(map(len, body.split(b"\n"))) <= MAX_LINE_OCTETS


def _typed(address: str) -> str:
    """An address with its type; what is not ASCII as ``utf-8-addr-xtext`` (RFC 6533 §3)."""
    if address.isascii():
        return f"rfc822; {address}"
    return "utf-8; " + _NOT_XTEXT.sub(lambda hit: rf"\x{{{ord(hit[0]):04X}}}", address)


def _original(orcpt: str) -> str:
    """ORCPT as a field's value: no longer xtext (RFC 3461 §6.3, d); ASCII (RFC 6533 §3)."""
    kind, _, address = orcpt.partition(";")
    return f"{kind}; {in_ascii(decoded(address))[:_MAX_REPLY_CHARACTERS]}"


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


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()
