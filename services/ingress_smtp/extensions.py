"""Service extensions: what EHLO offers, and the parameters of MAIL and RCPT (RFC 5321 §2.2).

| extension           | RFC  | here                                              |
|---------------------|------|---------------------------------------------------|
| PIPELINING          | 2920 | replies of a group are sent together              |
| SIZE                | 1870 | refused at MAIL when declared, else while read    |
| 8BITMIME            | 6152 | BODY=7BIT, BODY=8BITMIME                          |
| CHUNKING            | 3030 | BDAT for DATA                                     |
| BINARYMIME          | 3030 | BODY=BINARYMIME; binary parts become base64       |
| SMTPUTF8            | 6531 | non-ASCII addresses only with it                  |
| ENHANCEDSTATUSCODES | 2034 | on every reply                                    |
| STARTTLS            | 3207 | offered until TLS is active                       |
| AUTH                | 4954 | on submission, under TLS only; AUTH= at MAIL      |
| XCLIENT             |      | for listed hosts alone: see `xclient`             |
| VRFY, EXPN          | 5321 | to those who may ask                              |
| ETRN                | 1985 | on port 25, if it is wanted                       |
| DSN                 | 3461 | RET= ENVID= at MAIL, NOTIFY= ORCPT= at RCPT       |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ingress_smtp import replies
from ingress_smtp.replies import Reply
from ingress_smtp.xclient import ATTRIBUTES
from posthouse.mail.address import BadAddress, is_local_part, parse_address
from posthouse.mail.envelope import Body
from posthouse.mail.handling import CONDITIONS, DEFAULT, NEVER, PLAIN, Handling, Notify, Ret

POSTMASTER = "postmaster"  # the one mailbox that needs no domain (RFC 5321 §4.5.1)
MAX_SIZE_DIGITS = 20  # RFC 1870 §4
MAX_ENVID_CHARACTERS = 100  # RFC 3461 §5.4
MAX_ORCPT_CHARACTERS = 500  # RFC 3461 §5.4
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")  # RFC 3461 §4
# An address of the type utf-8 may stand in Unicode (RFC 6533 §3); transaction asks for SMTPUTF8.
_ORCPT = re.compile(
    r"(?:(?i:utf-8);(?:[!-*,-<>-~\u0080-\U0010ffff]|\+[0-9A-F]{2})*"
    r"|[!#-'*+\-/-9=?A-Z^-~]+;(?:[!-*,-<>-~]|\+[0-9A-F]{2})*)"
)
_SOURCE_ROUTE = re.compile(r"@[^:>\s]+(?:,@[^:>\s]+)*:")  # RFC 5321 §4.1.2, A-d-l


DeclaredBody: TypeAlias = Body | Literal["BINARYMIME"]


class BadParameters(Exception):
    """A path or parameter that cannot be taken.

    Attributes:
        reply: What the client is told.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@dataclass(frozen=True, slots=True, kw_only=True)
class MailParameters:
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


def offer(
    hostname: str,
    *,
    size: int,
    starttls: bool,
    auth: tuple[str, ...],
    xclient: bool = False,
    courtesies: Collection[str] = (),
) -> Reply:
    """Build the answer to EHLO: what holds in this state of the session, and nothing else."""
    texts = [
        hostname,
        "PIPELINING",
        f"SIZE {size}",
        "8BITMIME",
        "CHUNKING",
        "BINARYMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
    ]
    texts.extend(courtesies)
    if starttls:
        texts.append("STARTTLS")
    if auth:
        texts.append("AUTH " + " ".join(auth))
    if xclient:
        texts.append("XCLIENT " + " ".join(ATTRIBUTES))
    return replies.lines(250, *texts)


def take_path(argument: str, keyword: str) -> tuple[str | None, str]:
    """Split ``FROM:<path> parameters`` into the path without brackets and the parameters.

    None if it is no path. One space behind the colon is a common fault and forgiven; an address
    without brackets is not.
    """
    if argument[: len(keyword)].upper() != keyword:
        return None, ""
    rest = argument[len(keyword) :].lstrip(" ")
    if not rest.startswith("<"):
        return None, ""
    end = _closing_bracket(rest)
    if end < 0 or rest[end + 1 : end + 2] not in {"", " "}:
        return None, ""
    return rest[1:end], rest[end + 1 :].strip(" ")


def _closing_bracket(text: str) -> int:
    """Return where the path ends; a bracket in a quoted local part is none. -1 if it does not."""
    if '"' not in text:
        return text.find(">")
    quoted = False
    at = 1
    while at < len(text):
        if quoted and text[at] == "\\":
            at += 1
        elif text[at] == '"':
            quoted = not quoted
        elif text[at] == ">" and not quoted:
            return at
        at += 1
    return -1


def reverse_path(path: str, *, utf8: bool) -> str:
    """``Reverse-path = Path / "<>"`` (RFC 5321 §4.1.2); empty for the null path."""
    if not path:
        return ""
    sender = _mailbox(path, replies.BAD_SENDER)
    if not utf8 and not sender.isascii():
        raise BadParameters(replies.NEEDS_SMTPUTF8)
    return sender


def forward_path(path: str) -> str:
    """``Path`` or ``Postmaster`` alone (RFC 5321 §4.1.1.3); raise `BadParameters` otherwise."""
    if path.lower() == POSTMASTER:
        return POSTMASTER
    return _mailbox(path, replies.BAD_RECIPIENT)


def _mailbox(path: str, otherwise: Reply) -> str:
    """Read a mailbox; its source route is dropped unread (RFC 5321 §3.6.1, Appendix C).

    A local part alone may pass: whether it gets a domain depends on who says it.
    """
    if is_local_part(path):
        return path
    route = _SOURCE_ROUTE.match(path)
    try:
        return str(parse_address(path[route.end() :] if route else path))
    except BadAddress as bad:
        raise BadParameters(otherwise) from bad


def mail_parameters(text: str) -> MailParameters:
    """``Mail-parameters = esmtp-param *(SP esmtp-param)`` (RFC 5321 §4.1.2).

    Raises `BadParameters` for one that is unknown, malformed or given twice.
    """
    if not text:
        return _NONE
    given = _read(text, _AT_MAIL)
    envid, ret = given.get("ENVID", ""), given.get("RET", "")
    return MailParameters(
        size=given.get("SIZE", 0),
        body=given.get("BODY", "7BIT"),
        smtputf8="SMTPUTF8" in given,
        handling=Handling(envid=envid, ret=ret) if envid or ret else PLAIN,
    )


def rcpt_parameters(text: str) -> Notify:
    """``Rcpt-parameters = esmtp-param *(SP esmtp-param)`` (RFC 5321 §4.1.2).

    Raises `BadParameters` for one that is unknown, malformed or given twice.
    """
    if not text:
        return DEFAULT
    given = _read(text, _AT_RCPT)
    return Notify(on=given.get("NOTIFY", ""), orcpt=given.get("ORCPT", ""))


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
}
_AT_RCPT: Mapping[str, _Reader] = {"NOTIFY": _notify, "ORCPT": _orcpt}
_NONE = MailParameters()
