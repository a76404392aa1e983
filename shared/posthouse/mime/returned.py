"""Mail that comes back to tell of other mail: bounces and complaints, as other servers write them.

    multipart/report   message/delivery-status (RFC 3464, RFC 6533), message/feedback-report (RFC 5965)
    prose              qmail's QSBMF, Exim's X-Failed-Recipients: see `posthouse.mime.prose`

Reading is generous: any octets in, nothing raised, a bounded number of recipients out. What is read
is a stranger's claim: whoever acts on it must know by other means that it is not made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

from posthouse.mail.header import header_end
from posthouse.mime.fields import Fields, pick
from posthouse.mime.parameters import parse_token, without_comments
from posthouse.mime.prose import MAX_LINES, Notice, read_prose
from posthouse.mime.structure import Entity, read_tree
from posthouse.mime.text import decoded_body

Kind: TypeAlias = Literal["bounce", "complaint", "auto-reply", "other"]

MAX_RECIPIENTS = 1000
MAX_SAID_CHARACTERS = 500
MAX_FIELD_CHARACTERS = 998
STATUS_TYPES = frozenset({b"message/delivery-status", b"message/global-delivery-status"})
FEEDBACK_TYPE = b"message/feedback-report"
WHOLE_TYPES = frozenset({b"message/rfc822", b"message/global"})
HEADER_TYPES = frozenset({b"text/rfc822-headers", b"message/global-headers"})

_STATUS_FIELDS = frozenset(
    {b"original-recipient", b"final-recipient", b"action", b"status", b"diagnostic-code"}
)
_ABOUT_FIELDS = frozenset({b"original-envelope-id"})
_FEEDBACK_FIELDS = frozenset(
    {b"feedback-type", b"original-mail-from", b"original-rcpt-to", b"removal-recipient"}
)
_ORIGINAL_FIELDS = frozenset({b"message-id", b"return-path"})
_ROOT_FIELDS = frozenset({b"auto-submitted", b"x-failed-recipients", b"x-autoreply"})
_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_ESCAPED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")  # RFC 6533 §3, utf-8-addr-xtext
_ACTIONS = frozenset({"failed", "delayed", "delivered", "relayed", "expanded"})
_BY_CLASS = {"2": "delivered", "4": "delayed", "5": "failed"}
_GROUP_END = re.compile(rb"\r?\n[ \t]*(?:\r?\n)+")
_VAGUE = frozenset({"", "5.0.0", "4.0.0"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldOf:
    """What is said of one recipient.

    Attributes:
        address: Where it was tried to deliver.
        original: The address that the sender wrote, if that is told too.
        action: ``failed``, ``delayed`` ... (RFC 3464 §2.3.3).
        status: The enhanced status, as ``5.1.1``; empty if none is said.
        said: What the server that refused has said.
    """

    address: str
    original: str = ""
    action: str = "failed"
    status: str = ""
    said: str = ""

    @property
    def is_hard(self) -> bool:
        """True if nobody is there: no such mailbox or domain, or it is closed (RFC 3463 §3.2, §3.3)."""
        return self.action == "failed" and is_hard(self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnedMail:
    """What a mail that came back says of the mail that was sent.

    Attributes:
        kind: What it is.
        recipients: Of whom it speaks; for a complaint, who complained, if that is told.
        message_id: The Message-ID of the mail that was sent; empty if unknown.
        return_path: Its sender, as the report shows it; empty if unknown.
        envid: What its sender called the sending (RFC 3461 §4.4).
        feedback: Of a complaint: ``abuse``, ``fraud`` ... (RFC 5965 §7.3).
    """

    kind: Kind
    recipients: tuple[ToldOf, ...] = ()
    message_id: str = ""
    return_path: str = ""
    envid: str = ""
    feedback: str = ""


class _Original(NamedTuple):
    """What the mail that was sent says of itself."""

    message_id: str
    return_path: str


def is_hard(status: str) -> bool:
    """True if ``status`` says that nobody is there and nobody will be."""
    found = _ENHANCED.fullmatch(status)
    if found is None or found[1] != "5":
        return False
    subject, detail = int(found[2]), int(found[3])
    of_recipient = subject == 1 and detail not in (7, 8)  # those are of the sender
    return of_recipient or (subject, detail) == (2, 1)


def read_returned(octets: bytes) -> ReturnedMail:
    """Read a mail that came back, or the beginning of one."""
    root = read_tree(octets)
    leaves = list(_leaves(root))
    original = _original(octets, leaves)
    for entity in leaves:
        if entity.type.value in STATUS_TYPES:
            return _with_reasons(_bounce(_body(octets, entity), original), _text_of(octets, leaves))
        if entity.type.value == FEEDBACK_TYPE:
            return _complaint(_body(octets, entity), original)
    header = pick(octets[: root.body], _ROOT_FIELDS)
    notice = read_prose(_text_of(octets, leaves), _text(_first(header, b"x-failed-recipients")))
    if notice is not None:
        return _from_prose(notice, original)
    submitted = parse_token(_first(header, b"auto-submitted"))
    is_automatic = submitted.startswith(b"auto") or b"x-autoreply" in header
    return ReturnedMail(
        kind="auto-reply" if is_automatic else "other",
        message_id=original.message_id,
        return_path=original.return_path,
    )


def _leaves(root: Entity) -> Iterator[Entity]:
    """Yield the parts of the report itself, not those of the mail within it."""
    todo = [root]
    while todo:
        entity = todo.pop()
        if entity.type.value.startswith(b"multipart/"):
            todo.extend(reversed(entity.children))
        else:
            yield entity


def _text_of(octets: bytes, leaves: Iterable[Entity]) -> bytes:
    """Return what is written for people; nothing if it is not plain text."""
    return next((_body(octets, each) for each in leaves if each.type.value == b"text/plain"), b"")


def _body(octets: bytes, entity: Entity) -> bytes:
    encoding = parse_token(_first(entity.fields, b"content-transfer-encoding"))
    return decoded_body(octets[entity.body : entity.end], encoding)


def _original(octets: bytes, leaves: Iterable[Entity]) -> _Original:
    for entity in leaves:
        if entity.type.value in WHOLE_TYPES | HEADER_TYPES:
            return _of_header(_body(octets, entity))
    return _Original("", "")


def _of_header(octets: bytes) -> _Original:
    fields = pick(octets[: header_end(octets)], _ORIGINAL_FIELDS)
    return _Original(
        message_id=_text(_first(fields, b"message-id")),
        return_path=_path(_first(fields, b"return-path")),
    )


def _bounce(body: bytes, original: _Original) -> ReturnedMail:
    """Read the groups of a delivery status (RFC 3464 §2.1): of the message, then of recipients."""
    groups = [group for group in _GROUP_END.split(body.strip(b"\r\n")) if group.strip()]
    told = [_told(pick(group, _STATUS_FIELDS)) for group in groups[: MAX_RECIPIENTS + 1]]
    about = pick(groups[0], _ABOUT_FIELDS) if groups else {}
    recipients = tuple(each for each in told if each.address or each.original)[:MAX_RECIPIENTS]
    return ReturnedMail(
        kind="bounce",
        recipients=recipients,
        envid=_text(_first(about, b"original-envelope-id")),
        message_id=original.message_id,
        return_path=original.return_path,
    )


def _with_reasons(mail: ReturnedMail, text: bytes) -> ReturnedMail:
    """Return ``mail`` with reasons that stand in the text only, as OpenSMTPD writes them."""
    if all(each.said or each.status not in _VAGUE for each in mail.recipients):
        return mail
    lines = text.decode("utf-8", "replace").splitlines()[:MAX_LINES]
    reasons = {
        address.strip("<> \t").lower(): said.strip()
        for address, colon, said in (
            line.partition(">:" if line[:1] == "<" else ":") for line in lines
        )
        if colon and said.strip()
    }
    return replace(mail, recipients=tuple(_reasoned(each, reasons) for each in mail.recipients))


def _reasoned(told: ToldOf, reasons: Mapping[str, str]) -> ToldOf:
    said = reasons.get(told.address.lower(), "")[:MAX_SAID_CHARACTERS]
    if told.said or told.status not in _VAGUE or not said:
        return told
    return replace(told, said=said, status=_status(said) or told.status)


def _told(fields: Fields) -> ToldOf:
    said = _after_type(_first(fields, b"diagnostic-code"))[:MAX_SAID_CHARACTERS]
    status = _status(_text(_first(fields, b"status")))
    if status in _VAGUE:
        status = _status(said) or status
    action = parse_token(_first(fields, b"action")).decode("ascii", "replace")
    return ToldOf(
        address=_address(_first(fields, b"final-recipient")),
        original=_address(_first(fields, b"original-recipient")),
        action=action if action in _ACTIONS else _BY_CLASS.get(status[:1], "failed"),
        status=status,
        said=said,
    )


def _complaint(body: bytes, original: _Original) -> ReturnedMail:
    """Read a feedback report (RFC 5965 §3); what it says of the sender goes before the mail's own."""
    fields = pick(body, _FEEDBACK_FIELDS)
    named = [*fields.get(b"original-rcpt-to", ()), *fields.get(b"removal-recipient", ())]
    addresses = dict.fromkeys(filter(None, map(_path, named[:MAX_RECIPIENTS])))
    return ReturnedMail(
        kind="complaint",
        recipients=tuple(ToldOf(address=each, action="") for each in addresses),
        message_id=original.message_id,
        return_path=_path(_first(fields, b"original-mail-from")) or original.return_path,
        feedback=parse_token(_first(fields, b"feedback-type")).decode("ascii", "replace")
        or "other",
    )


def _from_prose(notice: Notice, original: _Original) -> ReturnedMail:
    told = (
        ToldOf(address=address, status=_status(said), said=said[:MAX_SAID_CHARACTERS])
        for address, said in notice.refusals[:MAX_RECIPIENTS]
    )
    found = original if original.message_id else _of_header(notice.copy)
    return ReturnedMail(
        kind="bounce",
        recipients=tuple(told),
        message_id=found.message_id,
        return_path=found.return_path,
    )


def _first(fields: Fields, name: bytes) -> bytes:
    return fields.get(name, (b"",))[0]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace").strip()[:MAX_FIELD_CHARACTERS]


def _status(text: str) -> str:
    """Return the first enhanced status within ``text``, without leading zeros."""
    found = _ENHANCED.search(text)
    return ".".join(str(int(number)) for number in found.groups()) if found else ""


def _after_type(value: bytes) -> str:
    """Return what stands behind ``smtp;``; the type is left out by some."""
    text = _text(value)
    kind, semicolon, rest = text.partition(";")
    return rest.strip() if semicolon and " " not in kind.strip() else text


def _address(value: bytes) -> str:
    """Read ``rfc822; a@b`` (RFC 3464 §2.3.1), some write brackets or comments."""
    text = _after_type(without_comments(value))
    return _ESCAPED.sub(_character, text).strip("<> \t")


def _character(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    is_character = number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF  # noqa: PLR2004 - Unicode
    return chr(number) if is_character else found[0]


def _path(value: bytes) -> str:
    return _text(value).strip("<> \t")
