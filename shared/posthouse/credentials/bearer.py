"""SASL with a token instead of a password: OAUTHBEARER (RFC 7628) and Google's XOAUTH2. Pure.

    client  n,a=anna@example.test,^Ahost=mail.example.test^Aauth=Bearer eyJhbGci…^A^A
    server  {"status":"invalid_token","openid-configuration":"https://…"}    only if refused
    client  ^A                                                               and so it fails

Whoever gets no token in the first message, as a client that looks for the issuer sends none, learns
from the refusal where tokens are to be had (RFC 7628 §4.3).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec

from posthouse.credentials.exchange import (
    Accepted,
    Challenge,
    Channel,
    Failed,
    Mechanism,
    Question,
    Refused,
    Step,
    Verdict,
)

Status: TypeAlias = Literal["invalid_request", "invalid_token", "insufficient_scope"]

_SEPARATOR = "\x01"  # kvsep (RFC 7628 §3.1)
# gs2-header of a mechanism without channel binding (RFC 5801 §4, RFC 7628 §3.1)
_GS2_HEADER = re.compile(r"[ny],(?:a=((?:[^,=\0]|=2C|=3D)+))?,")
_PAIR = re.compile(r"([A-Za-z]+)=([\t\n\r\x20-\x7e]*)")
# auth-scheme without regard to case, then b64token (RFC 6750 §2.1)
_BEARER = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Somebody shows a token.

    Attributes:
        user: Whose mailbox is wanted; empty for the one that the token names (OAUTHBEARER).
        token: As it came; empty if none did.
    """

    user: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Hint:
    """What a refused client is told of where tokens are to be had (RFC 7628 §3.2.2).

    Attributes:
        configuration: Address of the issuer's OpenID configuration.
        scope: What a token must be good for, separated by spaces; empty if nothing is asked.
    """

    configuration: str
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Denied(Refused):
    """A verdict: the token is not taken, and why, in the words of RFC 6750 §3.1."""

    status: Status = "invalid_token"


Parse: TypeAlias = Callable[[bytes], Bearer | None]
Tell: TypeAlias = Callable[[Status, Hint], bytes]


def oauthbearer(hint: Hint) -> Mechanism:
    """Return OAUTHBEARER (RFC 7628)."""
    return _mechanism("OAUTHBEARER", read_oauthbearer, _tell_oauthbearer, hint)


def xoauth2(hint: Hint) -> Mechanism:
    """Return XOAUTH2 (developers.google.com/gmail/imap/xoauth2-protocol)."""
    return _mechanism("XOAUTH2", read_xoauth2, _tell_xoauth2, hint)


def _mechanism(name: str, read: Parse, tell: Tell, hint: Hint) -> Mechanism:
    def take(response: bytes) -> Step:
        attempt = read(response)
        if attempt is None:
            return _deny("invalid_request")
        return Question(attempt, then=judged)

    def judged(verdict: Verdict) -> Step:
        if isinstance(verdict, Accepted):
            return verdict
        return _deny(verdict.status if isinstance(verdict, Denied) else "invalid_token")

    def _deny(status: Status) -> Step:
        """Tell why; whatever the client answers, it has failed (RFC 7628 §3.2.3)."""
        reason: Literal["malformed", "wrong"] = (
            "malformed" if status == "invalid_request" else "wrong"
        )
        return Challenge(tell(status, hint), lambda _: Failed(reason))

    def begin(_: Channel) -> Challenge:
        return Challenge(b"", take)

    return Mechanism(name=name, begin=begin)


def read_oauthbearer(response: bytes) -> Bearer | None:
    """``client-resp = gs2-header kvsep *kvpair kvsep`` (RFC 7628 §3.1); None if it is none.

    Channel bindings are not part of this mechanism, keys that we do not know are passed over.
    """
    try:
        header, *rest = response.decode().split(_SEPARATOR)
    except UnicodeDecodeError:
        return None
    name = _GS2_HEADER.fullmatch(header)
    pairs = _pairs(rest)
    if name is None or pairs is None or "auth" not in pairs:
        return None
    user = (name[1] or "").replace("=2C", ",").replace("=3D", "=")
    return _bearer(user, pairs["auth"])


def read_xoauth2(response: bytes) -> Bearer | None:
    """``user=… ^A auth=Bearer … ^A ^A``; None if it is none."""
    try:
        rest = response.decode().split(_SEPARATOR)
    except UnicodeDecodeError:
        return None
    user = rest[0].removeprefix("user=")
    pairs = _pairs(rest[1:])
    if user == rest[0] or not user or "\0" in user or pairs is None or "auth" not in pairs:
        return None
    return _bearer(user, pairs["auth"])


def _pairs(texts: list[str]) -> dict[str, str] | None:
    """Read ``*kvpair kvsep`` as its separators cut it; None if it is none, or says a thing twice."""
    if len(texts) < 2 or texts[-2:] != ["", ""]:  # noqa: PLR2004 - behind the last two separators
        return None
    found: dict[str, str] = {}
    for text in texts[:-2]:
        pair = _PAIR.fullmatch(text)
        if pair is None or pair[1].lower() in found:
            return None
        found[pair[1].lower()] = pair[2]
    return found


def _bearer(user: str, authorization: str) -> Bearer | None:
    """Read the value of ``auth``: that of HTTP's Authorization field, or nothing."""
    if not authorization:
        return Bearer(user=user, token="")
    token = _BEARER.fullmatch(authorization)
    return Bearer(user=user, token=token[1]) if token else None


def _tell_oauthbearer(status: Status, hint: Hint) -> bytes:
    """Return the server's error as JSON (RFC 7628 §3.2.2)."""
    scope = {"scope": hint.scope} if hint.scope else {}
    return msgspec.json.encode(
        {"status": status} | scope | {"openid-configuration": hint.configuration}
    )


_HTTP_STATUS: dict[Status, str] = {
    "invalid_request": "400",
    "invalid_token": "401",
    "insufficient_scope": "403",
}


def _tell_xoauth2(status: Status, hint: Hint) -> bytes:
    """Return the same as Google does."""
    return msgspec.json.encode(
        {"status": _HTTP_STATUS[status], "schemes": "bearer", "scope": hint.scope}
    )
