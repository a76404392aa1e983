"""The mechanisms that need no more than a line or two; pure.

| mechanism | RFC                                   | needs                                        |
|-----------|---------------------------------------|----------------------------------------------|
| PLAIN     | 4616                                  | a password                                   |
| LOGIN     | draft-murchison-sasl-login            | a password                                   |
| CRAM-MD5  | 2195                                  | its keys stored, which the operator must want |
| EXTERNAL  | 4422 Appendix A                       | a client's certificate that TLS has verified |
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal, TypeAlias

from posthouse.credentials.exchange import (
    Challenge,
    Channel,
    Claim,
    Digest,
    Failed,
    Mechanism,
    Password,
    Question,
    Shown,
    Step,
)

_PLAIN_FIELDS = 3  # RFC 4616 §2: [authzid] NUL authcid NUL passwd
_NONCE_OCTETS = 16
_DIGEST_DIGITS = 32  # RFC 2195 §2: an HMAC-MD5 in lower-case hex

External: TypeAlias = Literal["off", "email", "common-name", "fingerprint"]


# ---- PLAIN


def _begin_plain(_: Channel) -> Challenge:
    return Challenge(b"", _plain)


def _plain(response: bytes) -> Step:
    """``message = [authzid] UTF8NUL authcid UTF8NUL passwd`` (RFC 4616 §2)."""
    try:
        parts = response.decode().split("\0")
    except UnicodeDecodeError:
        return Failed("malformed")
    if len(parts) != _PLAIN_FIELDS or not parts[1] or not parts[2]:
        return Failed("malformed")
    authorization, user, password = parts
    if authorization not in {"", user}:  # nobody acts for somebody else
        return Failed("not authorized")
    return Question(Password(user=user, password=password))


PLAIN = Mechanism(name="PLAIN", begin=_begin_plain)


# ---- LOGIN


def _begin_login(_: Channel) -> Challenge:
    return Challenge(b"Username:", _login_user)


def _login_user(response: bytes) -> Step:
    user = _login_text(response)
    if user is None:
        return Failed("malformed")
    return Challenge(b"Password:", lambda behind: _login_password(user, behind))


def _login_password(user: str, response: bytes) -> Step:
    password = _login_text(response)
    if password is None:
        return Failed("malformed")
    return Question(Password(user=user, password=password))


def _login_text(response: bytes) -> str | None:
    """Return what was said, None if it is nothing that could have been meant."""
    try:
        text = response.decode()
    except UnicodeDecodeError:
        return None
    return text if text and "\0" not in text else None


LOGIN = Mechanism(name="LOGIN", begin=_begin_login)


# ---- CRAM-MD5


def cram_md5(
    hostname: str, *, nonce: Callable[[], str] = lambda: os.urandom(_NONCE_OCTETS).hex()
) -> Mechanism:
    """Return CRAM-MD5 of a house called ``hostname``; its challenge is a msg-id (RFC 2195 §2)."""

    def begin(_: Channel) -> Challenge:
        challenge = f"<{nonce()}@{hostname}>".encode()
        return Challenge(challenge, lambda response: _cram(challenge, response))

    return Mechanism(name="CRAM-MD5", begin=begin, takes_initial=False)


def _cram(challenge: bytes, response: bytes) -> Step:
    """Take the name, a space, the digest; a name may have spaces of its own."""
    try:
        user, _, digest = response.decode().rpartition(" ")
    except UnicodeDecodeError:
        return Failed("malformed")
    if not user or "\0" in user or len(digest) != _DIGEST_DIGITS:
        return Failed("malformed")
    return Question(Digest(user=user, challenge=challenge, digest=digest.lower()))


# ---- EXTERNAL


def external(mapping: External) -> Mechanism:
    """Return EXTERNAL; ``mapping`` tells what of a certificate stands for an account.

    By its fingerprint any certificate may be somebody's, whatever names it says.
    """
    if mapping == "fingerprint":
        return Mechanism(name="EXTERNAL", begin=_begin_shown, is_possible=_is_shown)

    def begin(channel: Channel) -> Challenge:
        return Challenge(b"", lambda response: _external(names_in(channel, mapping), response))

    return Mechanism(
        name="EXTERNAL", begin=begin, is_possible=lambda channel: bool(names_in(channel, mapping))
    )


def _is_shown(channel: Channel) -> bool:
    return channel.tls is not None and channel.tls.peer is not None


def _begin_shown(channel: Channel) -> Challenge:
    return Challenge(b"", lambda response: _shown(channel, response))


def _shown(channel: Channel, response: bytes) -> Step:
    wanted = _identity_in(response)
    peer = channel.tls.peer if channel.tls else None
    if wanted is None or peer is None:
        return Failed("malformed")
    return Question(Shown(user=wanted, fingerprint=peer.fingerprint))


def names_in(channel: Channel, mapping: External) -> tuple[str, ...]:
    """Return the addresses that the client's certificate proves."""
    shown = channel.tls.peer if channel.tls else None
    if shown is None or mapping == "off":
        return ()
    if mapping == "email":
        return shown.emails
    return (shown.common_name,) if shown.common_name else ()


def _external(names: tuple[str, ...], response: bytes) -> Step:
    """Take the identity asked for, which the certificate must name; empty for the only one."""
    wanted = _identity_in(response)
    if wanted is None:
        return Failed("malformed")
    if not wanted:
        return Question(Claim(user=names[0])) if len(names) == 1 else Failed("not authorized")
    if wanted.lower() not in {name.lower() for name in names}:
        return Failed("not authorized")
    return Question(Claim(user=wanted))


def _identity_in(response: bytes) -> str | None:
    """Read ``extern-resp = *( UTF8-char-no-nul )`` (RFC 4422 Appendix A); None if it is none."""
    try:
        wanted = response.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in wanted else wanted
