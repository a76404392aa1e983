"""The parameters of MAIL and RCPT (RFC 5321 §4.1.2): each is read once, by a reader of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from ingress_smtp import replies
from ingress_smtp.replies import Reply
from posthouse.mail.envelope import Body
from posthouse.mail.handling import CONDITIONS, DEFAULT, NEVER, PLAIN, Handling, Notify, Ret
from posthouse.mail.schedule import by_value, hold_for, hold_until

MAX_SIZE_DIGITS = 20  # RFC 1870 §4
MAX_ENVID_CHARACTERS = 100  # RFC 3461 §5.4
MAX_ORCPT_CHARACTERS = 500  # RFC 3461 §5.4
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")  # RFC 3461 §4
# An address of the type utf-8 may stand in Unicode (RFC 6533 §3); transaction asks for SMTPUTF8.
_ORCPT = re.compile(
    r"(?:(?i:utf-8);(?:[!-*,-<>-~\u0080-\U0010ffff]|\+[0-9A-F]{2})*"
    r"|[!#-'*+\-/-9=?A-Z^-~]+;(?:[!-*,-<>-~]|\+[0-9A-F]{2})*)"
)

DeclaredBody: TypeAlias = Body | Literal["BINARYMIME"]


class BadParameters(Exception):
    """A path or parameter that cannot be taken.

    Attributes:
        reply: What the client is told.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class MailParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of MAIL.

    Attributes:
        size: Octets that the client declared, 0 if it did not.
        body: BODY= (RFC 6152 §2, RFC 3030 §3).
        smtputf8: SMTPUTF8 was asked for (RFC 6531 §3.4).
        handling: What else was asked for.
    """

    size: int = 0
    body: DeclaredBody = "7BIT"
    smtputf8: bool = False
    handling: Handling = PLAIN


def mail_parameters(text: str) -> MailParameters:
    """``Mail-parameters = esmtp-param *(SP esmtp-param)`` (RFC 5321 §4.1.2).

    Raises `BadParameters` for one that is unknown, malformed or given twice.
    """
    if not text:
        return _NONE
    given = _read(text, _AT_MAIL)
    return MailParameters(
        size=given.get("SIZE", 0),
        body=given.get("BODY", "7BIT"),
        smtputf8="SMTPUTF8" in given,
        handling=_handling(given),
    )


def rcpt_parameters(text: str) -> Notify:
    """``Rcpt-parameters = esmtp-param *(SP esmtp-param)`` (RFC 5321 §4.1.2).

    Raises `BadParameters` for one that is unknown, malformed or given twice.
    """
    if not text:
        return DEFAULT
    given = _read(text, _AT_RCPT)
    return Notify(on=given.get("NOTIFY", ""), orcpt=given.get("ORCPT", ""))


def _handling(given: Mapping[str, Any]) -> Handling:
    if not _OF_HANDLING & given.keys():
        return PLAIN
    if "HOLDFOR" in given and "HOLDUNTIL" in given:  # RFC 4865 §4.2 (9)
        raise BadParameters(replies.BAD_PARAMETER)
    return Handling(
        envid=given.get("ENVID", ""),
        ret=given.get("RET", ""),
        requiretls="REQUIRETLS" in given,
        hold=given.get("HOLDFOR", "") or given.get("HOLDUNTIL", ""),
        by=given.get("BY", ""),
    )


def _read(text: str, readers: Mapping[str, _Reader]) -> dict[str, Any]:
    """Return the value of each parameter in ``text``, as its reader understands it."""
    given: dict[str, Any] = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        name = name.upper()
        reader = readers.get(name)
        if reader is None:
            raise BadParameters(replies.UNKNOWN_PARAMETER)
        if name in given or (equals and not value):
            raise BadParameters(replies.BAD_PARAMETER)
        given[name] = reader(value)
    return given


def _flag(value: str) -> None:
    """A parameter that is there or not."""
    if value:
        raise BadParameters(replies.BAD_PARAMETER)


def _size(value: str) -> int:
    """``size-value = 1*20DIGIT`` (RFC 1870 §4)."""
    if value.isascii() and value.isdigit() and len(value) <= MAX_SIZE_DIGITS:
        return int(value)
    raise BadParameters(replies.BAD_PARAMETER)


def _body(value: str) -> DeclaredBody:
    """``body-value = "7BIT" / "8BITMIME" / "BINARYMIME"`` (RFC 6152 §2, RFC 3030 §3)."""
    match value.upper():
        case "7BIT":
            return "7BIT"
        case "8BITMIME":
            return "8BITMIME"
        case "BINARYMIME":
            return "BINARYMIME"
        case _:
            raise BadParameters(replies.BAD_PARAMETER)


def _submitter(value: str) -> None:
    """``AUTH=`` names who submitted; read and not believed (RFC 4954 §5)."""
    if _XTEXT.fullmatch(value) is None:
        raise BadParameters(replies.BAD_PARAMETER)


def _ret(value: str) -> Ret:
    """``ret-value = "FULL" / "HDRS"`` (RFC 3461 §4.3)."""
    match value.upper():
        case "FULL":
            return "FULL"
        case "HDRS":
            return "HDRS"
        case _:
            raise BadParameters(replies.BAD_PARAMETER)


def _envid(value: str) -> str:
    """``envid-parameter = "ENVID=" xtext`` (RFC 3461 §4.4)."""
    if len(value) <= MAX_ENVID_CHARACTERS and _XTEXT.fullmatch(value):
        return value
    raise BadParameters(replies.BAD_PARAMETER)


def _scheduled(reader: Callable[[str], str]) -> Callable[[str], str]:
    """Return ``reader`` with a reply to what it does not understand."""

    def read(value: str) -> str:
        try:
            return reader(value)
        except ValueError as bad:
            raise BadParameters(replies.BAD_PARAMETER) from bad

    return read


def _notify(value: str) -> str:
    """``notify-esmtp-value = "NEVER" / 1#notify-list-element`` (RFC 3461 §4.1)."""
    wanted = value.upper().split(",")
    if wanted == [NEVER]:
        return NEVER
    if not set(wanted) <= set(CONDITIONS):
        raise BadParameters(replies.BAD_PARAMETER)
    return ",".join(condition for condition in CONDITIONS if condition in wanted)


def _orcpt(value: str) -> str:
    """``original-recipient-address = addr-type ";" xtext`` (RFC 3461 §4.2, RFC 6533 §3)."""
    if len(value) <= MAX_ORCPT_CHARACTERS and _ORCPT.fullmatch(value):
        return value
    raise BadParameters(replies.BAD_PARAMETER)


# What the values are worth differs from reader to reader; each is taken out by its name above.
_Reader: TypeAlias = Callable[[str], Any]
_AT_MAIL: Mapping[str, _Reader] = {
    "SIZE": _size,
    "BODY": _body,
    "SMTPUTF8": _flag,
    "AUTH": _submitter,
    "RET": _ret,
    "ENVID": _envid,
    "REQUIRETLS": _flag,  # RFC 8689 §2
    "HOLDFOR": _scheduled(hold_for),
    "HOLDUNTIL": _scheduled(hold_until),
    "BY": _scheduled(by_value),
}
_OF_HANDLING = {"ENVID", "RET", "REQUIRETLS", "HOLDFOR", "HOLDUNTIL", "BY"}
_AT_RCPT: Mapping[str, _Reader] = {"NOTIFY": _notify, "ORCPT": _orcpt}
_NONE = MailParameters()
