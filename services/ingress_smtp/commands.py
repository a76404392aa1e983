"""Commands as values, and the reading of one line into one (RFC 5321 §4.1.1).

The line comes without its end; framing was done before. What cannot be read becomes `Bad`, which
carries the reply.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from ingress_smtp import extensions, replies
from ingress_smtp.parameters import (
    BadParameters,
    MailParameters,
    mail_parameters,
    rcpt_parameters,
)
from ingress_smtp.replies import Reply
from ingress_smtp.xclient import BadAttributes, XClient, read_attributes
from posthouse.mail.address import is_domain
from posthouse.mail.handling import DEFAULT, Notify

_CHUNK = re.compile(r"([0-9]{1,20})( +LAST)?", re.ASCII | re.IGNORECASE)
_HELLO = re.compile(r"[!-~\u0080-\U0010ffff]{1,255}")
# Verbs of protocols whose clients are tricked into talking to us.
_STRANGERS = frozenset(
    {"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "PRI", "SSH-2.0", "PROXY"}
)


class Hello(msgspec.Struct, frozen=True):
    """HELO or EHLO (RFC 5321 §4.1.1.1), or LHLO, which is EHLO in LMTP (RFC 2033 §4.1)."""

    name: str
    extended: bool
    is_lmtp: bool = False


class Mail(msgspec.Struct, frozen=True):
    """MAIL FROM: the sender, empty for the null path, and its parameters."""

    sender: str
    parameters: MailParameters


class Rcpt(msgspec.Struct, frozen=True):
    """RCPT TO: one recipient; ``postmaster`` alone has no domain (RFC 5321 §4.5.1).

    Attributes:
        recipient: The forward path, without brackets.
        notify: What the sender wants to be told of it.
    """

    recipient: str
    notify: Notify = DEFAULT


class Auth(msgspec.Struct, frozen=True):
    """AUTH with mechanism and initial response in base64, None if there is none."""

    mechanism: str
    initial: bytes | None


class Data(msgspec.Struct, frozen=True):
    """DATA (RFC 5321 §4.1.1.4)."""


class Chunk(msgspec.Struct, frozen=True):
    """BDAT: so many octets of a message follow (RFC 3030 §2)."""

    octets: int
    is_last: bool


class Reset(msgspec.Struct, frozen=True):
    """RSET (RFC 5321 §4.1.1.5)."""


class StartTls(msgspec.Struct, frozen=True):
    """STARTTLS (RFC 3207 §4)."""


class Verify(msgspec.Struct, frozen=True):
    """VRFY or EXPN (RFC 5321 §3.5).

    Attributes:
        address: Or a local part; empty if it is neither.
        expand: EXPN: name the members.
        utf8: The answer may hold UTF-8 (RFC 6531 §3.7.4.2).
    """

    address: str
    expand: bool
    utf8: bool


class Release(msgspec.Struct, frozen=True):
    """ETRN (RFC 1985 §5): send what waits for a domain, and below it."""

    domain: str
    below: bool


class Help(msgspec.Struct, frozen=True):
    """HELP (RFC 5321 §4.1.1.8)."""

    topic: str


class Chat(msgspec.Struct, frozen=True):
    """NOOP, QUIT: the answer needs nothing but itself."""

    reply: Reply


class Bad(msgspec.Struct, frozen=True):
    """Not a command; the reply says why."""

    reply: Reply


Command: TypeAlias = (
    Hello | Mail | Rcpt | Auth | Data | Chunk | Reset | StartTls | XClient | Verify | Release | Help
    | Chat | Bad
)  # fmt: skip


def parse(line: bytes) -> Command:
    """Read one command line."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return Bad(replies.UNKNOWN_COMMAND)
    verb, _, argument = text.partition(" ")
    verb = verb.upper()
    reader = _READERS.get(verb)
    if reader is not None:
        return reader(argument.strip(" \t"))
    return Bad(replies.NOT_SMTP if verb in _STRANGERS else replies.UNKNOWN_COMMAND)


def _hello(argument: str, *, extended: bool, is_lmtp: bool = False) -> Command:
    """``ehlo = "EHLO" SP ( Domain / address-literal )``; street names are taken as they are."""
    if _HELLO.fullmatch(argument) is None:
        return Bad(replies.ARGUMENT_MISSING)
    return Hello(argument, extended, is_lmtp)


def _mail(argument: str) -> Command:
    """``"MAIL FROM:" Reverse-path [SP Mail-parameters]`` (RFC 5321 §4.1.1.2)."""
    path, rest = extensions.take_path(argument, "FROM:")
    if path is None:
        return Bad(replies.BAD_SENDER)
    try:
        parameters = mail_parameters(rest)
        sender = extensions.reverse_path(path, utf8=parameters.smtputf8)
    except BadParameters as bad:
        return Bad(bad.reply)
    return Mail(sender, parameters)


def _rcpt(argument: str) -> Command:
    """``"RCPT TO:" Forward-path [SP Rcpt-parameters]`` (RFC 5321 §4.1.1.3)."""
    path, rest = extensions.take_path(argument, "TO:")
    if path is None:
        return Bad(replies.BAD_RECIPIENT)
    try:
        return Rcpt(extensions.forward_path(path), rcpt_parameters(rest))
    except BadParameters as bad:
        return Bad(bad.reply)


def _auth(argument: str) -> Command:
    """``"AUTH" SP sasl-mech [SP initial-response]`` (RFC 4954 §4)."""
    words = argument.split(" ")
    if not words[0] or len(words) > 2 or not argument.isascii():  # noqa: PLR2004 - the two words
        return Bad(replies.ARGUMENT_MISSING)
    return Auth(words[0].upper(), words[1].encode() if len(words) > 1 else None)


def _xclient(argument: str) -> Command:
    try:
        return read_attributes(argument)
    except BadAttributes:
        return Bad(replies.BAD_PARAMETER)


def _verify(argument: str, *, expand: bool) -> Command:
    """``vrfy = "VRFY" SP String`` (RFC 5321 §4.1.1.6); brackets are forgiven."""
    text, _, keyword = argument.rpartition(" ")
    utf8 = keyword.upper() == "SMTPUTF8" and bool(text)
    path = (text.strip() if utf8 else argument).removeprefix("<").removesuffix(">")
    if not path:
        return Bad(replies.ARGUMENT_MISSING)
    try:
        return Verify(extensions.forward_path(path), expand, utf8)
    except BadParameters:
        return Verify("", expand, utf8)


def _etrn(argument: str) -> Command:
    """``etrn-command = "ETRN" SP [option-character] node`` (RFC 1985 §5.2)."""
    domain = argument.removeprefix("@")
    if not is_domain(domain):  # a queue by name (#) is none of ours
        return Bad(replies.ARGUMENT_MISSING)
    return Release(domain.lower(), below=domain != argument)


def _bdat(argument: str) -> Command:
    """``"BDAT" SP chunk-size [SP "LAST"]`` (RFC 3030 §2).

    Behind one that cannot be read comes we know not how much that is no command: it ends all.
    """
    match = _CHUNK.fullmatch(argument)
    return Chunk(int(match[1]), bool(match[2])) if match else Bad(replies.BAD_CHUNK)


def _alone(command: Command) -> Callable[[str], Command]:
    """Return the reader of a verb that takes no argument."""
    return lambda argument: Bad(replies.NO_ARGUMENT) if argument else command


_READERS: dict[str, Callable[[str], Command]] = {
    "HELO": lambda argument: _hello(argument, extended=False),
    "EHLO": lambda argument: _hello(argument, extended=True),
    "LHLO": lambda argument: _hello(argument, extended=True, is_lmtp=True),
    "MAIL": _mail,
    "RCPT": _rcpt,
    "AUTH": _auth,
    "DATA": _alone(Data()),
    "BDAT": _bdat,
    "RSET": _alone(Reset()),
    "XCLIENT": _xclient,
    "STARTTLS": _alone(StartTls()),
    "QUIT": _alone(Chat(replies.BYE)),
    "NOOP": lambda _: Chat(replies.OK_RESET),
    "HELP": Help,
    "VRFY": lambda argument: _verify(argument, expand=False),
    "EXPN": lambda argument: _verify(argument, expand=True),
    "ETRN": _etrn,
}
