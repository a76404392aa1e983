"""SASL mechanisms PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login) as values.

SMTP (RFC 4954 §4), IMAP (RFC 9051 §6.2.2) and POP3 (RFC 5034 §4) frame the same exchange: a
mechanism with an optional initial response, then challenges and answers in base64, ``*`` to cancel.

    step = start("PLAIN", initial)
    while isinstance(step, Challenge):
        step = answer(step, await ask(step.wire))

What comes out in the end is an `Attempt`, to be verified, or `Failed`.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

MECHANISMS = ("PLAIN", "LOGIN")
MAX_RESPONSE_OCTETS = 12_288  # RFC 4954 §4, base64 included

_ASK_USER = b64encode(b"Username:")
_ASK_PASSWORD = b64encode(b"Password:")
_PLAIN_FIELDS = 3  # RFC 4616 §2: [authzid] NUL authcid NUL passwd

Reason: TypeAlias = Literal["unknown mechanism", "cancelled", "malformed", "not authorized"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """The client is to be asked.

    Attributes:
        wire: The challenge in base64; goes behind ``334 `` or ``+ ``.
        mechanism: Which exchange this is.
        user: What was answered so far (LOGIN).
    """

    wire: bytes
    mechanism: str
    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The exchange is complete; now somebody must verify it.

    Attributes:
        user: Who the client says it is.
        password: Its proof; never printed.
    """

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The exchange ended without anything to verify.

    Attributes:
        reason: From a closed set, so that each protocol picks its own reply.
    """

    reason: Reason


Step: TypeAlias = Challenge | Attempt | Failed


def start(mechanism: str, initial: bytes | None) -> Step:
    """Begin ``mechanism`` (any case) with its initial response in base64, None if there is none.

    A lone ``=`` is the empty initial response (RFC 4954 §4, RFC 9051 §6.2.2).
    """
    name = mechanism.upper()
    if name not in MECHANISMS:
        return Failed(reason="unknown mechanism")
    if name == "PLAIN":
        question = Challenge(wire=b"", mechanism=name)
    else:
        question = Challenge(wire=_ASK_USER, mechanism=name)
    return question if initial is None else answer(question, b"" if initial == b"=" else initial)


def answer(challenge: Challenge, line: bytes) -> Step:
    """Go on with the client's answer to ``challenge``: one line without its end."""
    if line == b"*":
        return Failed(reason="cancelled")
    if len(line) > MAX_RESPONSE_OCTETS:
        return Failed(reason="malformed")
    try:
        response = b64decode(line, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return Failed(reason="malformed")
    return _plain(response) if challenge.mechanism == "PLAIN" else _login(challenge, response)


def _plain(response: str) -> Step:
    """``message = [authzid] UTF8NUL authcid UTF8NUL passwd`` (RFC 4616 §2)."""
    parts = response.split("\0")
    if len(parts) != _PLAIN_FIELDS or not parts[1] or not parts[2]:
        return Failed(reason="malformed")
    authorization, user, password = parts
    if authorization not in {"", user}:  # nobody acts for somebody else
        return Failed(reason="not authorized")
    return Attempt(user=user, password=password)


def _login(challenge: Challenge, response: str) -> Step:
    """First the name, then the password, each in an answer of its own."""
    if not response or "\0" in response:
        return Failed(reason="malformed")
    if challenge.user is None:
        return Challenge(wire=_ASK_PASSWORD, mechanism=challenge.mechanism, user=response)
    return Attempt(user=challenge.user, password=response)
