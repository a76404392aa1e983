"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677); pure.

The password never crosses the wire, and what is stored is of no use to log in with. Both sides prove
that they know it, and -PLUS binds the proof to this very TLS session: somebody in between, even
one with a certificate that the client believes, gets nothing.

    client: n,,n=user,r=abc                       ─▶ who has such keys? (`Keys`)
    server: r=abcdef,s=salt,i=8192
    client: c=biws,r=abcdef,p=proof               ─▶ does it fit? no lookup any more
    server: v=signature                           ─▶ an empty answer, and in

An unknown user is asked for a proof like everybody, with a salt that stays the same (`decoy`).
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hmac import compare_digest

from posthouse.credentials.exchange import (
    Accepted,
    Challenge,
    Channel,
    Failed,
    Identity,
    Keys,
    Known,
    Mechanism,
    Question,
    Step,
    Verdict,
)
from posthouse.credentials.saslprep import prepared

MIN_ITERATIONS = 4096  # RFC 7677 §4
ITERATIONS = 8192  # 4 ms of ours, once per password
SALT_OCTETS = 16
_NONCE_OCTETS = 18
_HASH = "sha256"
_PREFIX = "SCRAM-SHA-256"
_DEFAULT_BINDINGS = frozenset({"tls-exporter", "tls-unique"})

_CLIENT_FIRST = re.compile(
    r"(?P<gs2>(?:n|y|p=(?P<binding>[A-Za-z0-9.-]+)),(?:a=(?P<authorization>[^,\0]+))?,)"
    r"(?P<bare>n=(?P<user>[^,\0]+),r=(?P<nonce>[!-+\--~]+)(?:,[^\0]*)?)"
)  # RFC 5802 §7; one that begins with m= demands an extension, and there is none
_CLIENT_FINAL = re.compile(
    r"(?P<unproven>c=(?P<binding>[A-Za-z0-9/+=]+),r=(?P<nonce>[!-+\--~]+)(?:,[^\0]*)?)"
    r",p=(?P<proof>[A-Za-z0-9/+=]+)"
)
_STORED = re.compile(
    rf"{_PREFIX}\$(?P<iterations>\d{{4,7}}):(?P<salt>[^$:]+)\$(?P<stored>[^$:]+):(?P<server>[^$:]+)"
)  # RFC 5803 §2


@dataclass(frozen=True, slots=True, kw_only=True)
class ScramKeys:
    """What is stored of a password (RFC 5802 §3).

    Attributes:
        iterations: Of the key derivation.
        salt: Of this password.
        stored: StoredKey: what a client's proof is checked against.
        server: ServerKey: what we prove ourselves with.
    """

    iterations: int
    salt: bytes
    stored: bytes
    server: bytes

    def __str__(self) -> str:
        salt, stored, server = map(_text, (self.salt, self.stored, self.server))
        return f"{_PREFIX}${self.iterations}:{salt}${stored}:{server}"


def derive(password: str, salt: bytes, iterations: int = ITERATIONS) -> ScramKeys:
    """Return the keys of ``password``; 4 ms, so call it off the loop."""
    octets = prepared(password).encode()
    salted = hashlib.pbkdf2_hmac(_HASH, octets, salt, iterations)
    client = hmac.digest(salted, b"Client Key", _HASH)
    return ScramKeys(
        iterations=iterations,
        salt=salt,
        stored=hashlib.new(_HASH, client).digest(),
        server=hmac.digest(salted, b"Server Key", _HASH),
    )


def read_keys(text: str) -> ScramKeys:
    """Read keys as `ScramKeys` writes them (RFC 5803 §2); raise `ValueError` for anything else."""
    found = _STORED.fullmatch(text)
    if found is None:
        raise ValueError("not keys of SCRAM-SHA-256")
    salt, stored, server = (
        b64decode(found[name], validate=True) for name in ("salt", "stored", "server")
    )
    if len(stored) != len(server) or len(stored) != hashlib.new(_HASH).digest_size:
        raise ValueError("not keys of SCRAM-SHA-256")
    return ScramKeys(iterations=int(found["iterations"]), salt=salt, stored=stored, server=server)


def decoy(user: str, secret: bytes) -> ScramKeys:
    """Return what nobody's keys look like: the same for a name each time, and no proof fits.

    Args:
        user: The name that nobody has.
        secret: Of the house; whoever knows it can tell who exists.
    """
    salt, stored, server = (
        hmac.digest(secret, f"{use}\0{user}".encode(), _HASH)
        for use in ("salt", "stored", "server")
    )
    return ScramKeys(iterations=ITERATIONS, salt=salt[:SALT_OCTETS], stored=stored, server=server)


def scram(
    *,
    plus: bool,
    plus_is_wanted: bool,
    nonce: Callable[[], str] = lambda: _text(os.urandom(_NONCE_OCTETS)),
) -> Mechanism:
    """Return the mechanism.

    Args:
        plus: With channel binding.
        plus_is_wanted: The operator has -PLUS offered where it is possible.
        nonce: Makes our half of the nonce; printable without a comma.
    """
    dialogue = _Dialogue(plus=plus, plus_is_wanted=plus_is_wanted, nonce=nonce)
    return Mechanism(
        name=f"{_PREFIX}-PLUS" if plus else _PREFIX,
        begin=lambda channel: Challenge(b"", partial(dialogue.first, channel)),
        is_possible=_can_be_bound if plus else (lambda _: True),
    )


def _can_be_bound(channel: Channel) -> bool:
    """True if the channel has what clients bind to unasked: offering less would lead them astray.

    That is ``tls-exporter`` under TLS 1.3 (RFC 9266 §3), ``tls-unique`` before (RFC 5802 §6.1).
    """
    return not _DEFAULT_BINDINGS.isdisjoint(channel.bindings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dialogue:
    """The steps of one of the two mechanisms; see `scram`."""

    plus: bool
    plus_is_wanted: bool
    nonce: Callable[[], str]

    def first(self, channel: Channel, response: bytes) -> Step:
        """Take the client-first-message (RFC 5802 §7)."""
        found = _match(_CLIENT_FIRST, response)
        user = _name(found["user"]) if found else None
        if found is None or user is None:
            return Failed("malformed")
        binding = self._binding(channel, found["gs2"][0], found["binding"])
        if isinstance(binding, Failed):
            return binding
        if found["authorization"] and _name(found["authorization"]) != user:
            return Failed("not authorized")  # nobody acts for somebody else
        sofar = _SoFar(
            bare=found["bare"], nonce=found["nonce"] + self.nonce(), input=found["gs2"].encode() + binding
        )  # fmt: skip
        return Question(Keys(user=user), sofar.known)

    def _binding(self, channel: Channel, flag: str, kind: str | None) -> bytes | Failed:
        """Return what the proof must be bound to; nothing without -PLUS."""
        if self.plus != (flag == "p"):
            return Failed("malformed")
        if self.plus:
            return channel.bindings.get(kind or "", Failed("malformed"))
        if flag == "y" and self.plus_is_wanted and _can_be_bound(channel):
            return Failed("wrong")  # somebody in between hid -PLUS from the client (RFC 5802 §6)
        return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class _SoFar:
    """What was said before the proof.

    Attributes:
        bare: The client-first-message without its GS2 header.
        nonce: Both halves.
        input: What the client must bind its proof to: the GS2 header and the channel's data.
    """

    bare: str
    nonce: str
    input: bytes

    def known(self, verdict: Verdict) -> Step:
        """Tell the salt."""
        if not isinstance(verdict, Known):
            return Failed("wrong")
        keys = read_keys(verdict.keys)
        told = f"r={self.nonce},s={_text(keys.salt)},i={keys.iterations}"
        return Challenge(told.encode(), partial(self.final, verdict.identity, keys, told))

    def final(self, identity: Identity | None, keys: ScramKeys, told: str, response: bytes) -> Step:
        """Take the client-final-message: is it this session, and does the proof fit?"""
        found = _match(_CLIENT_FINAL, response)
        if found is None:
            return Failed("malformed")
        try:
            bound, proof = (b64decode(found[n], validate=True) for n in ("binding", "proof"))
        except binascii.Error:
            return Failed("malformed")
        signed = f"{self.bare},{told},{found['unproven']}".encode()
        fits = _fits(keys, signed, proof)
        if bound != self.input or found["nonce"] != self.nonce or not fits or identity is None:
            return Failed("wrong")
        signature = hmac.digest(keys.server, signed, _HASH)
        return Challenge(b"v=" + b64encode(signature), lambda said: _end(identity, said))


def _end(identity: Identity, said: bytes) -> Step:
    """The client has seen our proof and has nothing to add."""
    return Failed("malformed") if said else Accepted(identity)


def _fits(keys: ScramKeys, signed: bytes, proof: bytes) -> bool:
    """True if who made ``proof`` knows the password (RFC 5802 §3)."""
    if len(proof) != len(keys.stored):
        return False
    signature = hmac.digest(keys.stored, signed, _HASH)
    client = bytes(one ^ other for one, other in zip(proof, signature, strict=True))
    return compare_digest(hashlib.new(_HASH, client).digest(), keys.stored)


def _match(pattern: re.Pattern[str], response: bytes) -> re.Match[str] | None:
    try:
        return pattern.fullmatch(response.decode())
    except UnicodeDecodeError:
        return None


def _name(text: str) -> str | None:
    """``saslname``: comma and equals sign are written ``=2C`` and ``=3D`` (RFC 5802 §5.1)."""
    if re.search("=(?!2C|3D)", text):
        return None
    return text.replace("=2C", ",").replace("=3D", "=")


def _text(octets: bytes) -> str:
    return b64encode(octets).decode()
