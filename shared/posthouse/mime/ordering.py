"""What messages are sorted and threaded by, from their header (RFC 5256 §2, RFC 5957, RFC 5051).

Pure, and bounded for any octets: a subject counts to `MAX_SUBJECT` characters, a message to its last
`MAX_REFERENCES` references.
"""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from email.utils import parsedate_tz
from hashlib import blake2b
from typing import Final, NamedTuple

from posthouse.mime.addresses import Mailbox, parse_addresses
from posthouse.mime.fields import ENVELOPE_FIELDS, Fields, pick
from posthouse.mime.text import decode_words

MAX_SUBJECT = 4000
MAX_REFERENCES = 1000
MAX_FIELD_OCTETS = 262_144
MAX_DATE_OCTETS = 200

_FIELDS = ENVELOPE_FIELDS | {b"references"}
_DAY_SECONDS = 86_400
_BLANKS = re.compile(r"\s+")
_BLOB = re.compile(r"\[[^\[\]]*\] *")
_LEADER = re.compile(r"(?:\[[^\[\]]*\] *)*(?:re|fwd?) *(?:\[[^\[\]]*\] *)?:", re.IGNORECASE)
_FORWARDED: Final = "[fwd:"
_TRAILER: Final = "(fwd)"
# msg-id (RFC 5322 §3.6.4), its left side quoted or not
_MESSAGE_ID = re.compile(
    rb'<[ \t]*((?:"(?:[^"\\]|\\.){0,990}"|[^<>"@\s]){1,990}@[^<>\s]{1,990})[ \t]*>', re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """Sort values of one message; texts are `collated`, and empty where the field is missing.

    Attributes:
        sent: The Date field in Unix seconds; None if it tells nothing, then INTERNALDATE counts.
        sent_day: The day as it is written there (RFC 3501 §6.4.4 SENTON).
        subject: Base subject.
        is_reply: The subject is that of a reply or forward.
        sender: Local part of the first From address; ``to`` and ``cc`` likewise.
        shown_sender: Display value of the first From address (RFC 5957 §3); ``shown_to`` likewise.
        ident: `ident_of` the message's own Message-ID, None if it has none.
        references: Those of its ancestors, the oldest first.
    """

    sent: int | None
    sent_day: date | None
    subject: str
    is_reply: bool
    sender: str
    to: str
    cc: str
    shown_sender: str
    shown_to: str
    ident: int | None
    references: tuple[int, ...]


class Member(NamedTuple):
    """What threading needs of one message.

    Attributes:
        uid: Which.
        sent: Microseconds; see RFC 5256 §2.2.
        ident: Stands for its message id; -1 if it has none.
        subject: Stands for its base subject; 0 if that is empty.
        is_reply: A reply or forward, by its subject.
        references: `ident` of its ancestors, the oldest first.
    """

    uid: int
    sent: int
    ident: int
    subject: int
    is_reply: bool
    references: tuple[int, ...]


def ordering_of(header: bytes) -> Ordering:
    """Read a header."""
    fields = pick(header, _FIELDS)
    subject, is_reply = base_subject(decode_words(_first(fields, b"subject")[: 4 * MAX_SUBJECT]))
    sender, to, cc = (_mailbox(fields, name) for name in (b"from", b"to", b"cc"))
    own = message_ids(_first(fields, b"message-id"))
    return Ordering(
        sent=sent_time(_first(fields, b"date")),
        sent_day=sent_day(_first(fields, b"date")),
        subject=collated(subject),
        is_reply=is_reply,
        sender=collated(_local(sender)),
        to=collated(_local(to)),
        cc=collated(_local(cc)),
        shown_sender=collated(_shown(sender)),
        shown_to=collated(_shown(to)),
        ident=own[0] if own else None,
        references=_references(fields),
    )


def collated(text: str) -> str:
    """Return ``text`` so that code points compare as i;unicode-casemap has it (RFC 5051 §2)."""
    if text.isascii():
        return text.upper()
    titled = "".join(c if len(t := c.title()) != 1 else t for c in text)
    return unicodedata.normalize("NFKD", titled).encode("utf-8", "replace").decode()


def base_subject(subject: str) -> tuple[str, bool]:
    """Return the base subject, and whether what was removed tells of a reply or forward (§2.1)."""
    text, is_reply = _BLANKS.sub(" ", subject[:MAX_SUBJECT]), False
    while True:
        text, was_forwarded = _without_trailer(text)
        text, was_replied = _without_leader(text)
        is_reply = is_reply or was_forwarded or was_replied
        if not (text[: len(_FORWARDED)].lower() == _FORWARDED and text.endswith("]")):
            return text, is_reply
        text, is_reply = text[len(_FORWARDED) : -1], True


def _without_trailer(text: str) -> tuple[str, bool]:
    is_forward, text = False, text.rstrip(" ")
    while text[-len(_TRAILER) :].lower() == _TRAILER:
        text, is_forward = text[: -len(_TRAILER)].rstrip(" "), True
    return text, is_forward


def _without_leader(text: str) -> tuple[str, bool]:
    is_reply = False
    while True:
        text = text.lstrip(" ")
        if leader := _LEADER.match(text):
            text, is_reply = text[leader.end() :], True
        elif (blob := _BLOB.match(text)) and blob.end() < len(text):
            text = text[blob.end() :]
        else:
            return text, is_reply


def message_ids(field: bytes) -> list[int]:
    """Return the message ids in a field; however they are quoted, the same ones are equal (§3)."""
    return [ident_of(found[1]) for found in _MESSAGE_ID.finditer(field[:MAX_FIELD_OCTETS])]


def ident_of(message_id: bytes) -> int:
    """Return 63 bits that stand for a message id without its angle brackets."""
    plain = message_id
    if b'"' in plain or b"\\" in plain:
        plain = re.sub(rb"\\(.)", rb"\1", plain.replace(b'"', b""), flags=re.DOTALL)
    return int.from_bytes(blake2b(plain, digest_size=8).digest(), "big") >> 1


def _references(fields: Fields) -> tuple[int, ...]:
    found = message_ids(b" ".join(fields.get(b"references", ())))
    return tuple(found[-MAX_REFERENCES:] or message_ids(_first(fields, b"in-reply-to"))[:1])


def sent_time(field: bytes) -> int | None:
    """Return the Unix time of a Date field: a wrong zone is UTC, a wrong time midnight (§2.2)."""
    parsed = _parsed(field)
    if parsed is None:
        return None
    year, month, day, hour, minute, second = parsed[:6]
    is_time = 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second <= 60  # noqa: PLR2004 - of a clock
    hour, minute, second = (hour, minute, second) if is_time else (0, 0, 0)
    zone = parsed[9] or 0
    zone = zone if abs(zone) < _DAY_SECONDS else 0
    return calendar.timegm((year, month, day, hour, minute, second)) - zone


def sent_day(field: bytes) -> date | None:
    """Return the day in a Date field as it is written there, None if it is none."""
    parsed = _parsed(field)
    return None if parsed is None else date(*parsed[:3])


def _parsed(field: bytes) -> Sequence[int] | None:
    try:
        parsed = parsedate_tz(field[:MAX_DATE_OCTETS].decode("latin-1"))
        if parsed is None:
            return None
        date(*parsed[:3])
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return [part or 0 for part in parsed]


def _mailbox(fields: Fields, name: bytes) -> Mailbox | None:
    found = parse_addresses(_first(fields, name)[:MAX_FIELD_OCTETS])
    return found[0] if found else None


def _local(mailbox: Mailbox | None) -> str:
    return decode_words(mailbox.local or b"") if mailbox is not None else ""


def _shown(mailbox: Mailbox | None) -> str:
    if mailbox is None:
        return ""
    name = decode_words(mailbox.name or b"")
    if name:
        return name
    local = _local(mailbox)
    return f"{local}@{decode_words(mailbox.host)}" if local and mailbox.host else local


def _first(fields: Fields, name: bytes) -> bytes:
    found = fields.get(name)
    return found[0] if found else b""
