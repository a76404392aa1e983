"""Service extensions: what EHLO offers, and the parameters that MAIL takes (RFC 5321 §2.2).

| extension           | RFC  | here                                              |
|---------------------|------|---------------------------------------------------|
| PIPELINING          | 2920 | replies of a group are sent together              |
| SIZE                | 1870 | refused at MAIL when declared, else while read    |
| 8BITMIME            | 6152 | BODY=7BIT, BODY=8BITMIME                          |
| SMTPUTF8            | 6531 | non-ASCII addresses only with it                  |
| ENHANCEDSTATUSCODES | 2034 | on every reply                                    |
| STARTTLS            | 3207 | offered until TLS is active                       |
| AUTH                | 4954 | on submission, under TLS only; AUTH= at MAIL      |
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingress_smtp import replies
from ingress_smtp.replies import Reply
from posthouse.credentials.sasl import MECHANISMS
from posthouse.mail.address import BadAddress, parse_address
from posthouse.mail.envelope import Body

POSTMASTER = "postmaster"  # the one mailbox that needs no domain (RFC 5321 §4.5.1)
MAX_SIZE_DIGITS = 20  # RFC 1870 §4
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")  # RFC 3461 §4
_SOURCE_ROUTE = re.compile(r"@[^:>\s]+(?:,@[^:>\s]+)*:")  # RFC 5321 §4.1.2, A-d-l


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
        body: BODY= (RFC 6152 §2).
        smtputf8: SMTPUTF8 was asked for (RFC 6531 §3.4).
    """

    size: int = 0
    body: Body = "7BIT"
    smtputf8: bool = False


def offer(hostname: str, *, size: int, starttls: bool, auth: bool) -> Reply:
    """Build the answer to EHLO: what holds in this state of the session, and nothing else."""
    texts = [
        hostname,
        "PIPELINING",
        f"SIZE {size}",
        "8BITMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
    ]
    if starttls:
        texts.append("STARTTLS")
    if auth:
        texts.append("AUTH " + " ".join(MECHANISMS))
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
    """Read a mailbox; its source route is dropped unread (RFC 5321 §3.6.1, Appendix C)."""
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
    given: dict[str, str | None] = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if name.upper() in given or (equals and not value):
            raise BadParameters(replies.BAD_PARAMETER)
        given[name.upper()] = value if equals else None
    size = _size(given.pop("SIZE")) if "SIZE" in given else 0
    body = _body(given.pop("BODY")) if "BODY" in given else "7BIT"
    smtputf8 = "SMTPUTF8" in given
    if smtputf8 and given.pop("SMTPUTF8") is not None:
        raise BadParameters(replies.BAD_PARAMETER)
    if "AUTH" in given:
        _submitter(given.pop("AUTH"))
    if given:
        raise BadParameters(replies.UNKNOWN_PARAMETER)
    return MailParameters(size=size, body=body, smtputf8=smtputf8)


_NONE = MailParameters()


def _size(value: str | None) -> int:
    """``size-value = 1*20DIGIT`` (RFC 1870 §4)."""
    if value and value.isascii() and value.isdigit() and len(value) <= MAX_SIZE_DIGITS:
        return int(value)
    raise BadParameters(replies.BAD_PARAMETER)


def _body(value: str | None) -> Body:
    """``body-value = "7BIT" / "8BITMIME"`` (RFC 6152 §2)."""
    match (value or "").upper():
        case "7BIT":
            return "7BIT"
        case "8BITMIME":
            return "8BITMIME"
        case _:
            raise BadParameters(replies.BAD_PARAMETER)


def _submitter(value: str | None) -> None:
    """``AUTH=`` names who submitted; read and not believed (RFC 4954 §5)."""
    if not value or _XTEXT.fullmatch(value) is None:
        raise BadParameters(replies.BAD_PARAMETER)
