"""Who somebody is, in memory: a link that knows one password, and a client's half of SCRAM."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from unittest.mock import patch

import argon2
from pydantic import SecretStr

from posthouse.credentials import cram, passwords
from posthouse.credentials.authenticator import Authenticator
from posthouse.credentials.exchange import (
    Accepted,
    Attempt,
    Channel,
    Claim,
    Digest,
    Identity,
    Keys,
    Known,
    Password,
    Refused,
    Verdict,
)
from posthouse.credentials.mechanisms import LOGIN, PLAIN, cram_md5, external
from posthouse.credentials.scram import ScramKeys, derive, scram
from posthouse.mail.address import BadAddress, parse_address
from posthouse.mail.errors import Unavailable
from posthouse.runtime.logins import LoginSettings

# For gateways on a real database; addresses stand in it that nothing asks.
LOGINS = LoginSettings(
    database_url=SecretStr("postgresql://u:p@localhost/x"),
    broker_url=SecretStr("amqp://u:p@localhost/x"),
    store="disk:/nowhere",
    hostname="mx.example.test",
)
SECRET = "secret"  # noqa: S105 - everybody's, in these tests
SALT = b"salt of tests"
MECHANISMS = (
    scram(plus=True, plus_is_wanted=True),
    scram(plus=False, plus_is_wanted=True),
    external("email"),
    cram_md5("mx.example.test"),
    PLAIN,
    LOGIN,
)


@cache
def keys() -> ScramKeys:
    """Return the keys of `SECRET`."""
    return derive(SECRET, SALT)


@contextmanager
def light_argon2() -> Iterator[None]:
    """Hash at a hundredth of the price inside, for tests of all but the strength of a hash."""
    light = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=passwords.LANES)
    with patch.object(passwords, "_hasher", light):
        yield


class Everybody:
    """A link to which everybody has an account with the password `SECRET`.

    ``away@example.test`` finds an outage, and who is no address is nobody.
    """

    async def judge(self, attempt: Attempt, channel: Channel) -> Verdict | None:  # noqa: ARG002
        try:
            address = parse_address(attempt.user).key
        except BadAddress:
            return Refused()
        if address == "away@example.test":
            raise Unavailable("directory is away")
        identity = Identity(account_id=1, address=address)
        if isinstance(attempt, Keys):
            return Known(identity, str(keys()))
        return Accepted(identity) if _is_right(attempt) else Refused()


def _is_right(attempt: Attempt) -> bool:
    match attempt:
        case Password(password=said):
            return said == SECRET
        case Digest(challenge=challenge, digest=digest):
            return cram.fits(cram.cram_keys(SECRET), challenge, digest)
        case _:
            return isinstance(attempt, Claim)


def everybody() -> Authenticator:
    """Return what lets everybody in who knows `SECRET`."""
    return Authenticator(mechanisms=MECHANISMS, links=(Everybody(),))


@dataclass(slots=True)
class ScramClient:
    """A client's half of SCRAM-SHA-256 (RFC 5802 §3), written apart from ours.

    Attributes:
        user: Who it is.
        password: What it knows.
        header: Its GS2 header.
        binding: The channel's data behind it, for -PLUS.
    """

    user: str
    password: str = SECRET
    header: str = "n,,"
    binding: bytes = b""
    nonce: str = "rOprNGfwEbeRWgbNEkqO"
    signature: bytes = b""

    @property
    def bare(self) -> str:
        """The first message without its header."""
        return f"n={self.user},r={self.nonce}"

    def first(self) -> bytes:
        """Return the first message."""
        return (self.header + self.bare).encode()

    def final(self, told: bytes) -> bytes:
        """Return the answer to the server's first message; remember what it must prove."""
        fields = dict(part.split("=", 1) for part in told.decode().split(","))
        salted = hashlib.pbkdf2_hmac(
            "sha256", self.password.encode(), b64decode(fields["s"]), int(fields["i"])
        )
        bound = b64encode(self.header.encode() + self.binding).decode()
        unproven = f"c={bound},r={fields['r']}"
        signed = f"{self.bare},{told.decode()},{unproven}".encode()
        client = hmac.digest(salted, b"Client Key", "sha256")
        stored = hashlib.sha256(client).digest()
        mask = hmac.digest(stored, signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client, mask, strict=True))
        server = hmac.digest(salted, b"Server Key", "sha256")
        self.signature = b"v=" + b64encode(hmac.digest(server, signed, "sha256"))
        return f"{unproven},p={b64encode(proof).decode()}".encode()
