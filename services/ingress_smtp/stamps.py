"""The fields that we put on top of a message, and those that we take away. Pure.

`Received` tells the way (RFC 5321 §4.4), `Authentication-Results` what we found out (RFC 8601).
A message that comes with results under our own name is lying: those fields are removed (RFC 8601
§5). Everything else stays octet for octet as it was sent.
"""

from __future__ import annotations

import re
from datetime import datetime
from uuid import UUID

import msgspec

from ingress_smtp.commands import Rcpt
from ingress_smtp.xclient import UNKNOWN
from posthouse.authenticity.results import Result, results_field, without_results
from posthouse.mail.address import is_domain
from posthouse.mail.encryption import Tls
from posthouse.mail.envelope import Body
from posthouse.mail.handling import PLAIN, Handling
from posthouse.mail.header import first, format_date, header_end

_BEGINNING = re.compile(rb"[!-9;-~]+[ \t]*:|>?From ")  # a field, or the envelope line of an mbox
_LITERAL = re.compile(r"\[[0-9A-Za-z:.]+\]")


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of a message besides its octets.

    Attributes:
        client: The client's IP address.
        hello: What it called itself.
        extended: It said EHLO.
        tls: None if the session was in plain text.
        auth: The account that authenticated; empty if none did.
        origin: Whether it came by submission.
        sender: The reverse path; empty for the null path.
        recipients: RCPT commands; never empty.
        body: What the client declared.
        smtputf8: It asked for SMTPUTF8.
        handling: What its sender asks for.
        is_lmtp: It came by LMTP.
    """

    client: str
    hello: str
    extended: bool
    tls: Tls | None
    auth: str
    is_submission: bool
    sender: str
    recipients: tuple[Rcpt, ...]
    body: Body
    smtputf8: bool
    handling: Handling = PLAIN
    is_lmtp: bool = False

    @property
    def whence(self) -> str:
        """Who brought it, as the trace tells: address, name, and TLS if there was any."""
        return f"{self.client} {self.hello}" + (f" ({self.tls})" if self.tls else "")

    @property
    def protocol(self) -> str:
        """The registered name of how it came (RFC 3848, RFC 6531 §3.7.3)."""
        name = "SMTP"
        if self.is_lmtp:
            name = "UTF8LMTP" if self.smtputf8 else "LMTP"
        elif self.extended:
            name = "UTF8SMTP" if self.smtputf8 else "ESMTP"
        return name + ("S" if self.tls else "") + ("A" if self.auth else "")


def received(arrival: Arrival, *, hostname: str, ident: UUID, now: datetime) -> bytes:
    """Build the Received field (RFC 5321 §4.4).

    ``for`` stands only when there is one recipient, so that no blind copy is given away
    (RFC 5321 §7.2).
    """
    literal = f"[IPv6:{arrival.client}]" if ":" in arrival.client else f"[{arrival.client}]"
    if arrival.client == UNKNOWN:
        literal = UNKNOWN
    tls = arrival.tls
    cipher = f"\r\n\t(using {tls.version} with cipher {tls.cipher})" if tls else ""
    target = (
        f"\r\n\tfor <{arrival.recipients[0].recipient}>" if len(arrival.recipients) == 1 else ""
    )
    return (
        f"Received: from {_name(arrival.hello)} ({literal}){cipher}\r\n"
        f"\tby {hostname} with {arrival.protocol} id {ident}{target};\r\n"
        f"\t{format_date(now)}\r\n"
    ).encode()


def _name(hello: str) -> str:
    """Return the client's name for itself if it is one that may stand in a field."""
    return hello if is_domain(hello) or _LITERAL.fullmatch(hello) else "unknown"


def authentication_results(arrival: Arrival, *, hostname: str) -> bytes:
    """Build the Authentication-Results field (RFC 8601 §2.2) as ingress knows it: ``auth`` alone.

    Where policy judges the message it puts what it found in the place of this.
    """
    login = Result(method="auth", result="pass", properties=(("smtp.auth", arrival.auth),))
    return results_field(hostname, [login] if arrival.auth else [])


def separator(content: bytes) -> bytes:
    """Return the empty line that a message without a header needs below our fields.

    Without it the first line of the body would stand in the header; one that begins with a space
    would even go on where our last field ends, and could say what it likes in our name.
    """
    return b"" if _BEGINNING.match(content) or content[:2] in {b"", b"\r\n"} else b"\r\n"


def without_forged_results(content: bytes, *, hostname: str) -> bytes:
    """Return ``content`` without Authentication-Results that claim to be ours (RFC 8601 §5)."""
    end = header_end(content)
    header = content[:end]
    honest = without_results(header, hostname)
    return content if honest is header else honest + content[end:]


def missing_fields(content: bytes, *, hostname: str, ident: UUID, now: datetime) -> bytes:
    """Build Date and Message-ID for a submitted message without them (RFC 6409 §8.1, §8.2)."""
    header = b"" if separator(content) else content[: header_end(content)]
    added = b""
    if not first(header, b"Date"):
        added += f"Date: {format_date(now)}\r\n".encode()
    if not first(header, b"Message-ID"):
        added += f"Message-ID: <{ident}@{hostname}>\r\n".encode()
    return added
