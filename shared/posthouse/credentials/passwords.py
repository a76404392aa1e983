"""What is kept of a password: an argon2id hash (RFC 9106), and keys for those who never say it.

One hash costs some 17 ms and 19 MiB on purpose. Accounts that were imported by the thousand have a
lighter one (docs/decisions, "light hashes at import"), or one that another house made (`legacy`);
it is replaced by one of full strength at the first login, the only moment that knows the password.
The keys of SCRAM-SHA-256 and CRAM-MD5 are made at the same moments, as far as they are wanted.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

import argon2

from posthouse.credentials import legacy
from posthouse.credentials.cram import cram_keys
from posthouse.credentials.scram import ITERATIONS as SCRAM_ITERATIONS
from posthouse.credentials.scram import SALT_OCTETS, derive, read_keys

MEMORY_KIB = 19 * 1024  # OWASP: argon2id with m=19 MiB, t=2, p=1
ITERATIONS = 2
LANES = 1
MAX_PASSWORD_OCTETS = 1024  # longer ones are refused unread, nobody types them

IMPORT_MEMORY_KIB = 9 * 1024  # 4 ms instead of 17: 10,000 accounts in half a minute on two cores
IMPORT_ITERATIONS = 1

_hasher = argon2.PasswordHasher(time_cost=ITERATIONS, memory_cost=MEMORY_KIB, parallelism=LANES)
_light_hasher = argon2.PasswordHasher(
    time_cost=IMPORT_ITERATIONS, memory_cost=IMPORT_MEMORY_KIB, parallelism=LANES
)


class Keys(Protocol):
    """What is stored for those who log in without saying the password."""

    @property
    def scram_sha_256(self) -> str | None:
        """In the form of RFC 5803; None if it is not kept."""

    @property
    def cram_md5(self) -> str | None:
        """In Dovecot's form; None if it is not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which keys are kept: those of mechanisms that are offered, and no others.

    Attributes:
        scram: Of SCRAM-SHA-256.
        cram_md5: Of CRAM-MD5.
    """

    scram: bool = True
    cram_md5: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """All that is stored of one password; has the shape of `Keys`.

    Attributes:
        password_hash: PHC string.
        scram_sha_256: See `Keys`.
        cram_md5: See `Keys`.
    """

    password_hash: str = field(repr=False)
    scram_sha_256: str | None = field(default=None, repr=False)
    cram_md5: str | None = field(default=None, repr=False)


NO_SECRETS = Secrets(password_hash="")  # there is no password here: app passwords, tokens, LDAP
_NONE = "*"  # shadow(5)


def wanted_for(mechanisms: Collection[str]) -> Wanted:
    """Return which keys the mechanisms of these names need."""
    scram = any(name.startswith("SCRAM-SHA-256") for name in mechanisms)
    return Wanted(scram=scram, cram_md5="CRAM-MD5" in mechanisms)


def make_secrets(password: str, wanted: Wanted, *, light: bool = False) -> Secrets:
    """Return what is to be stored of ``password``; 21 ms, so call it off the loop.

    Args:
        password: It.
        wanted: Which keys.
        light: For an import: a lighter hash, to be replaced at the first login; 8 ms.
    """
    hasher = _light_hasher if light else _hasher
    salt = secrets.token_bytes(SALT_OCTETS)
    return Secrets(
        password_hash=hasher.hash(password),
        scram_sha_256=str(derive(password, salt)) if wanted.scram else None,
        cram_md5=cram_keys(password) if wanted.cram_md5 else None,
    )


def take_over(text: str, wanted: Wanted) -> Secrets:
    """Return what is to be stored of a hash that another house made; raise `legacy.UnknownScheme`.

    A hash that is itself the keys of a mechanism serves as those, if they are wanted. A lone ``*``
    says that there is no password.
    """
    if text == _NONE:
        return NO_SECRETS
    stored = legacy.normal_form(text)
    return Secrets(
        password_hash=stored,
        scram_sha_256=legacy.scram_keys(stored) if wanted.scram else None,
        cram_md5=legacy.cram_md5_keys(stored) if wanted.cram_md5 else None,
    )


def hash_password(password: str) -> str:
    """Return the argon2id hash of ``password`` as a PHC string; 17 ms, so call it off the loop."""
    return _hasher.hash(password)


def hash_for_import(password: str) -> str:
    """Return a lighter argon2id hash of ``password``, to be replaced at the first login."""
    return _light_hasher.hash(password)


def is_outdated(password_hash: str) -> bool:
    """True if a hash was not made as we make them today, and should be made anew."""
    if legacy.is_legacy(password_hash):
        return True
    try:
        return _hasher.check_needs_rehash(password_hash)
    except argon2.exceptions.InvalidHashError:
        return False


def are_outdated(keys: Keys, wanted: Wanted) -> bool:
    """True if keys are missing that are wanted, kept that are not, or made as we do no more."""
    if (keys.cram_md5 is not None) != wanted.cram_md5:
        return True
    if keys.scram_sha_256 is None or not wanted.scram:
        return wanted.scram or keys.scram_sha_256 is not None
    return read_keys(keys.scram_sha_256).iterations != SCRAM_ITERATIONS


def matches(password_hash: str, password: str) -> bool:
    """True if ``password`` is the one that was hashed; 17 ms, so call it off the loop.

    A stored hash that cannot be read matches nothing. A wrong password costs at least the full
    time even against a cheaper hash: the time must not tell who was imported and never came.
    """
    try:
        if legacy.is_legacy(password_hash):
            is_right = legacy.matches(password_hash, password)
        else:
            is_right = _hasher.verify(password_hash, password)
    except (argon2.exceptions.VerificationError, legacy.UnknownScheme):
        is_right = False
    except argon2.exceptions.InvalidHashError:
        return False
    if not is_right and is_outdated(password_hash):
        _hasher.hash(password)
    return is_right
