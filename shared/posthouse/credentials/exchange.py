"""A SASL exchange (RFC 4422) as values: what a mechanism asks of the client, and what of the house.

SMTP (RFC 4954 §4), IMAP (RFC 9051 §6.2.2) and POP3 (RFC 5034 §4) frame the same exchange: a
mechanism with an optional initial response, then challenges and answers in base64, ``*`` to cancel.
A mechanism is a function that says what comes first; each step says by itself how it goes on:

    Challenge ──the client's line──▶ step      Question ──the house's verdict──▶ step
    in the end: Accepted or Failed

Nothing waits and nothing is looked up here; `authenticator` drives the steps, links judge.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from posthouse.mail.encryption import Tls

MAX_RESPONSE_OCTETS = 12_288  # RFC 4954 §4, base64 included
CANCEL = b"*"
EMPTY = b"="  # an initial response that is there and empty (RFC 4954 §4, RFC 9051 §6.2.2)

Reason: TypeAlias = Literal[
    "unknown mechanism", "cancelled", "malformed", "not authorized", "wrong"
]
Service: TypeAlias = Literal["smtp", "imap", "pop"]  # as registered for RFC 4422 §4


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What is known of a connection before anybody has proven anything.

    Attributes:
        service: What the client wants of us.
        client: Its IP address.
        tls: What the handshake agreed on, None in plain text.
        is_trusted: The operator lets passwords cross it without TLS, too.
    """

    service: Service
    client: str
    tls: Tls | None = None
    is_trusted: bool = False

    @property
    def is_private(self) -> bool:
        """True if secrets may cross it."""
        return self.tls is not None or self.is_trusted

    @property
    def bindings(self) -> Mapping[str, bytes]:
        """What a proof may be bound to (RFC 5056), by its type; none without TLS."""
        return self.tls.channel_bindings if self.tls else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who somebody is.

    Attributes:
        account_id: The number of the account.
        address: Its address in the form of `Address.key`.
    """

    account_id: int
    address: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """It is proven who the client is; a verdict, and the end of an exchange."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class Refused:
    """A verdict: this proves nothing."""


@dataclass(frozen=True, slots=True)
class Known:
    """A verdict on a question for what is stored: the identity and its keys.

    Attributes:
        identity: None if there is nobody with such keys; then `keys` look like somebody's, and
            no proof fits them.
        keys: In the form that the mechanism reads.
    """

    identity: Identity | None
    keys: str = field(repr=False)


Verdict: TypeAlias = Accepted | Refused | Known


@dataclass(frozen=True, slots=True)
class Failed:
    """The exchange has ended and nobody is known.

    Attributes:
        reason: From a closed set, so that each protocol picks its own reply.
    """

    reason: Reason


@dataclass(frozen=True, slots=True)
class Challenge:
    """The client is to be asked.

    Attributes:
        octets: What it is told, not yet in base64.
        then: What follows from its response; the octets come without base64.
    """

    octets: bytes
    then: Callable[[bytes], Step] = field(repr=False, compare=False)

    @property
    def wire(self) -> bytes:
        """The challenge in base64; goes behind ``334 `` or ``+ ``."""
        return b64encode(self.octets)


def conclude(verdict: Verdict) -> Step:
    """Return the end that a verdict means where nothing more is to be said."""
    return verdict if isinstance(verdict, Accepted) else Failed("wrong")


class Attempt(Protocol):
    """What is to be judged: a value of which some link knows the type."""

    @property
    def user(self) -> str:
        """Who the client says it is; empty if it leaves that to its proof."""


@dataclass(frozen=True, slots=True)
class Question:
    """The house is to be asked.

    Attributes:
        attempt: What is to be judged.
        then: What follows from the verdict.
    """

    attempt: Attempt
    then: Callable[[Verdict], Step] = field(default=conclude, repr=False, compare=False)


Step: TypeAlias = Challenge | Question | Accepted | Failed


# ---- Attempts, as the mechanisms of this house make them; others may bring their own.


@dataclass(frozen=True, slots=True, kw_only=True)
class Password:
    """Somebody says a name and a password: PLAIN, LOGIN, and the commands LOGIN and PASS."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Somebody says a name, and a proof will follow: which keys are stored (SCRAM-SHA-256)?"""

    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """Somebody answers ``challenge`` with an HMAC-MD5 of it in hex (CRAM-MD5, RFC 2195)."""

    user: str
    challenge: bytes
    digest: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """It is proven by other means that the client is ``user``: is there such an account?"""

    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Somebody has shown a certificate: whose is it?

    Attributes:
        user: Whose the client says it is; empty if it leaves that to us.
        fingerprint: SHA-256 of the certificate, in hexadecimal digits.
    """

    user: str
    fingerprint: str


# ---- Mechanisms


def _always(_: Channel) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """One SASL mechanism.

    Attributes:
        name: As registered, in capitals.
        begin: Returns the first challenge; for a mechanism in which the client begins it is
            empty, and an initial response answers it.
        is_possible: True if the channel has what it needs; privacy is demanded for all.
        takes_initial: False if the server must speak first.
    """

    name: str
    begin: Callable[[Channel], Challenge]
    is_possible: Callable[[Channel], bool] = _always
    takes_initial: bool = True


def start(mechanism: Mechanism, initial: bytes | None, channel: Channel) -> Step:
    """Begin ``mechanism`` with its initial response in base64, None if there is none."""
    challenge = mechanism.begin(channel)
    if initial is None:
        return challenge
    if not mechanism.takes_initial or initial == CANCEL:
        return Failed("malformed")
    return answer(challenge, b"" if initial == EMPTY else initial)


def answer(challenge: Challenge, line: bytes) -> Step:
    """Go on with the client's answer to ``challenge``: one line without its end."""
    if line == CANCEL:
        return Failed("cancelled")
    if len(line) > MAX_RESPONSE_OCTETS:
        return Failed("malformed")
    try:
        return challenge.then(b64decode(line, validate=True))
    except binascii.Error:
        return Failed("malformed")
