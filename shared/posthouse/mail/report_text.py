"""What a person reads of a report: its subject and its first part, in one language."""

from __future__ import annotations

import re
import textwrap
from datetime import UTC
from email.header import Header

from posthouse.mail.handling import decoded, unescaped
from posthouse.mail.report import Fate, Report
from posthouse.mail.wording import Wording

TEXT_COLUMNS = 76
MAX_REPLY_CHARACTERS = 900  # a Diagnostic-Code stays well below the line limit, folded
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")  # RFC 5322 §3.2.3
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")


def subject_of(report: Report, wording: Wording) -> str:
    """Return the Subject, as encoded words if it is not ASCII (RFC 2047 §2)."""
    return _header_text(wording.subjects[report.action])


def author_of(report: Report, wording: Wording) -> str:
    """Return the From: the mail system by its name in that language."""
    name = wording.say("from")
    phrase = _header_text(name) if not name.isascii() or _ATOMS.fullmatch(name) else _quoted(name)
    return f"{phrase} <{report.author}>"


def text_of(report: Report, wording: Wording) -> str:
    """Return the text, lines with LF between them."""
    opening = wording.openings[report.action].format(host=report.host)
    blocks = [_wrap(opening), *(_told(fate, wording) for fate in report.fates)]
    if report.action == "delayed" and report.retry_until is not None:
        date = report.retry_until.astimezone(UTC).strftime(wording.say("date"))
        blocks.append(_wrap(wording.say("until", date=date)))
    blocks.append(_wrap(wording.say("whole" if report.content is not None else "header")))
    return "\n\n".join(blocks)


def flat(reply: str) -> str:
    """Return a reply as one line of bounded length, without controls."""
    return _CONTROLS.sub(" ", reply).strip()[:MAX_REPLY_CHARACTERS] or "no reason given"


def is_quoted(fate: Fate) -> bool:
    """True if the reply is a server's own; else we say what happened with it."""
    return bool(fate.host) and fate.reply[:3].isdecimal()


def _told(fate: Fate, wording: Wording) -> str:
    meant = unescaped(decoded(fate.orcpt.partition(";")[2]))
    first_line = f"<{fate.address}>"
    if meant and meant.lower() != fate.address.lower():
        first_line += f" ({wording.say('meant', address=meant)})"
    if not fate.reply:
        return first_line
    if is_quoted(fate):
        said = wording.say("said", host=fate.host)
    else:
        said = f"{fate.host}:" if fate.host else wording.say("reason")
    reason = wording.reason_of(fate.status)
    lines = [f"{first_line}:", *([_wrap(reason, "    ")] if reason else [])]
    return "\n".join([*lines, _wrap(f"{said} {flat(fate.reply)}", "    ")])


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, TEXT_COLUMNS, initial_indent=indent, subsequent_indent=indent,
        break_on_hyphens=False,
    )  # fmt: skip


def _quoted(name: str) -> str:
    """A phrase that is no plain words (RFC 5322 §3.2.4)."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _header_text(text: str) -> str:
    return text if text.isascii() else Header(text, "utf-8", maxlinelen=70).encode(linesep="\r\n")
