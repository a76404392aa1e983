"""Service extensions: what EHLO offers, and the paths of MAIL and RCPT (RFC 5321 §2.2, §4.1.2).

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
| REQUIRETLS          | 8689 | offered and taken under TLS                       |
| LIMITS              | 9422 | RCPTMAX                                           |
| FUTURERELEASE       | 4865 | on submission: HOLDFOR= or HOLDUNTIL= at MAIL     |
| DELIVERBY           | 2852 | BY= at MAIL, not by LMTP                          |
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from ingress_smtp import replies
from ingress_smtp.parameters import BadParameters
from ingress_smtp.replies import Reply
from ingress_smtp.xclient import ATTRIBUTES
from posthouse.mail.address import BadAddress, is_local_part, parse_address

OFFERS_KEPT = 64  # answers to EHLO: they differ by listener and state alone
POSTMASTER = "postmaster"  # the one mailbox that needs no domain (RFC 5321 §4.5.1)
_SOURCE_ROUTE = re.compile(r"@[^:>\s]+(?:,@[^:>\s]+)*:")  # RFC 5321 §4.1.2, A-d-l


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer to EHLO depends on.

    Attributes:
        hostname: Ours.
        size: Octets that a message may have (RFC 1870 §4).
        recipients: That it may have (RFC 9422 §4).
        secure: TLS is active.
        starttls: It can become so.
        auth: Mechanisms that can succeed.
        xclient: This client may speak for others.
        courtesies: Verbs of what this client is obliged with.
        schedules: Keywords of when mail may start, and must have arrived.
    """

    hostname: str
    size: int
    recipients: int
    secure: bool = False
    starttls: bool = False
    auth: tuple[str, ...] = ()
    xclient: bool = False
    courtesies: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()


@lru_cache(maxsize=OFFERS_KEPT)
def offer(it: Offer) -> Reply:
    """Build the answer to EHLO: what holds in this state of the session, and nothing else."""
    texts = [
        it.hostname,
        "PIPELINING",
        f"SIZE {it.size}",
        f"LIMITS RCPTMAX={it.recipients}",
        *(("REQUIRETLS",) if it.secure else ()),
        "8BITMIME",
        "CHUNKING",
        "BINARYMIME",
        "SMTPUTF8",
        "DSN",
        *it.schedules,
        "ENHANCEDSTATUSCODES",
        *it.courtesies,
        *(("STARTTLS",) if it.starttls else ()),
    ]
    if it.auth:
        texts.append("AUTH " + " ".join(it.auth))
    if it.xclient:
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
