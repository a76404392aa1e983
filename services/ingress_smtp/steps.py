"""Where a session stands, and what may come next: the values of `transaction`. Pure."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from ingress_smtp.commands import Auth, Chunk, Mail, Rcpt, Release, Verify
from ingress_smtp.replies import Reply
from ingress_smtp.terms import Terms


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Where one session stands.

    Attributes:
        terms: See `Terms`.
        hello: What the client calls itself; empty before HELO or EHLO.
        extended: It said EHLO.
        secure: TLS is active.
        mechanisms: Of AUTH, that can succeed on this connection.
        auth: The account that authenticated; empty if none did.
        mail: The open transaction's MAIL, None if none is open.
        recipients: Those that were accepted in it.
        chunked: Its content has begun, by BDAT.
        may_xclient: The client is one of `Terms.xclients`.
    """

    terms: Terms
    may_xclient: bool = False
    hello: str = ""
    extended: bool = False
    secure: bool = False
    mechanisms: tuple[str, ...] = ()
    auth: str = ""
    mail: Mail | None = None
    recipients: tuple[Rcpt, ...] = ()
    chunked: bool = False

    @property
    def answers(self) -> int:
        """How many replies a message is due: in LMTP one for each recipient (RFC 2033 §4.2)."""
        return len(self.recipients) if self.terms.role == "lmtp" else 1


class Say(msgspec.Struct, frozen=True):
    """Send the reply and go on in the state."""

    reply: Reply
    state: State


class Judge(msgspec.Struct, frozen=True):
    """Ask policy about MAIL or RCPT; go on in the state if it accepts."""

    command: Mail | Rcpt
    state: State


class TakeData(msgspec.Struct, frozen=True):
    """Send 354 and read the message."""


class TakeChunk(msgspec.Struct, frozen=True):
    """Read the octets behind BDAT; with an objection throw them away, then say it."""

    command: Chunk
    objection: Reply | None = None


class TakeTls(msgspec.Struct, frozen=True):
    """Send 220 and begin the handshake."""


class TakeAuth(msgspec.Struct, frozen=True):
    """Begin the SASL exchange."""

    command: Auth


class TakeXClient(msgspec.Struct, frozen=True):
    """Let the client be another, greet it and go on in the state."""

    client: str | None
    state: State


class Oblige(msgspec.Struct, frozen=True):
    """Do what was asked besides taking mail."""

    command: Verify | Release


Step: TypeAlias = (
    Say | Judge | TakeData | TakeChunk | TakeTls | TakeAuth | TakeXClient | Oblige
)  # fmt: skip
