"""Hashes that others have made: Unix crypt and Dovecot's schemes; read, checked, never written.

They come in by an import and live until their owner's first login, which replaces them by ours.

| scheme                                         | what it is                                    |
|------------------------------------------------|-----------------------------------------------|
| ``$1$`` ``$5$`` ``$6$`` ``$2y$`` ``$y$``, also behind {CRYPT} {MD5-CRYPT} {SHA256-CRYPT} {SHA512-CRYPT} {BLF-CRYPT} | crypt(3) |
| {SHA} {SHA256} {SHA512}, {SSHA} {SSHA256} {SSHA512}, {SMD5} {LDAP-MD5} {PLAIN-MD5} | a digest, the salt behind it |
| {PBKDF2}, {SCRAM-SHA-1} {SCRAM-SHA-256}        | PBKDF2 (RFC 8018)                             |
| {CRAM-MD5} {HMAC-MD5}                          | see `cram`                                    |
| {ARGON2I} {ARGON2ID}, ``$argon2…``             | argon2 (RFC 9106)                             |

A digest's octets stand in base64 or hex; {SSHA.HEX} and {SSHA.B64} say which. A hash whose price
somebody has set so high that one login would keep a core for seconds is refused at the import.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode
from collections.abc import Callable
from functools import partial
from hmac import compare_digest
from typing import TypeAlias

from posthouse.credentials.cram import cram_keys
from posthouse.credentials.saslprep import prepared
from posthouse.credentials.scram import MIN_ITERATIONS, read_keys
from posthouse.credentials.unix_crypt import crypted

MAX_ITERATIONS = 1_000_000  # of SHA-crypt and PBKDF2: a second
MAX_HASH_CHARACTERS = 512

_SCHEME = re.compile(
    r"\{(?P<name>[A-Za-z0-9-]+)(?:\.(?P<encoding>HEX|B64|BASE64))?\}(?P<rest>.+)", re.IGNORECASE
)
_CRYPT = re.compile(
    r"\$1\$[^$]{0,8}\$[./0-9A-Za-z]{22}"
    r"|\$[56]\$(?:rounds=(?P<rounds>\d{4,9})\$)?[^$]{0,16}\$[./0-9A-Za-z]{43,86}"
    r"|\$2[abxy]\$(?:0[4-9]|1[0-5])\$[./0-9A-Za-z]{53}"  # up to cost 15: three seconds
    r"|\$y\$j[/.0-9AB]T\$[./0-9A-Za-z]+\$[./0-9A-Za-z]{43}"  # up to 64 MiB
)
_ARGON2 = re.compile(
    r"\$argon2(?:i|id|d)\$v=19\$m=(?P<memory>\d{1,6}),t=(?P<time>\d{1,2}),p=\d\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+"
)
MAX_ARGON2_KIB = 256 * 1024
_PBKDF2 = re.compile(r"\$1\$(?P<salt>[^$]+)\$(?P<iterations>\d{1,9})\$(?P<hash>[0-9a-f]{40})")
_SCRAM = re.compile(
    r"(?P<iterations>\d{1,9}),(?P<salt>[A-Za-z0-9+/=]+),(?P<stored>[A-Za-z0-9+/=]+),(?P<server>[A-Za-z0-9+/=]+)"
)
_CRAM = re.compile(r"[0-9a-f]{64}")

_CRYPTS = frozenset({"CRYPT", "MD5", "MD5-CRYPT", "SHA256-CRYPT", "SHA512-CRYPT", "BLF-CRYPT"})
_CRAMS = frozenset({"CRAM-MD5", "HMAC-MD5"})
_DIGESTS = {  # algorithm, salted
    "SHA": ("sha1", False),
    "SHA1": ("sha1", False),
    "SHA256": ("sha256", False),
    "SHA512": ("sha512", False),
    "SSHA": ("sha1", True),
    "SSHA256": ("sha256", True),
    "SSHA512": ("sha512", True),
    "SMD5": ("md5", True),
    "LDAP-MD5": ("md5", False),
    "PLAIN-MD5": ("md5", False),
}
_SCRAMS = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}


class UnknownScheme(ValueError):
    """A hash that cannot be checked here; says why, without repeating it."""


Check: TypeAlias = Callable[[str], bool]


def is_legacy(stored: str) -> bool:
    """True if ``stored`` looks like a hash of this room, whether or not it can be read."""
    return stored.startswith(("{", "$1$", "$2", "$5$", "$6$", "$y$"))


def normal_form(text: str) -> str:
    """Return a hash as it is kept; raise `UnknownScheme` for one that could never be checked."""
    if len(text) > MAX_HASH_CHARACTERS or not text.isascii() or not text.isprintable():
        raise UnknownScheme("is no hash of a password")
    found = _SCHEME.fullmatch(text)
    stored = text
    if found and found["name"].upper() in _CRYPTS | {"ARGON2I", "ARGON2ID"}:
        stored = found["rest"]
    if stored.startswith("$argon2"):
        _demand_affordable(stored)
    else:
        checker(stored)
    return stored


def matches(stored: str, password: str) -> bool:
    """True if ``password`` is the one that was hashed; may take long, so call it off the loop.

    Raises `UnknownScheme`, and `Unavailable` if this system has no crypt(3).
    """
    return checker(stored)(password)


def checker(stored: str) -> Check:
    """Return what compares a password to ``stored``; raise `UnknownScheme`."""
    if _CRYPT.fullmatch(stored):
        return _crypt(stored)
    found = _SCHEME.fullmatch(stored)
    if found is None:
        raise UnknownScheme("is of a scheme that is not known, or damaged")
    name, rest = found["name"].upper(), found["rest"]
    if name in _DIGESTS:
        return _digest(*_DIGESTS[name], rest, (found["encoding"] or "").upper())
    if name in _CRAMS and _CRAM.fullmatch(rest):
        return lambda password: compare_digest(cram_keys(password), rest)
    if name == "PBKDF2" and (parts := _PBKDF2.fullmatch(rest)):
        return _pbkdf2(parts)
    if name in _SCRAMS and (parts := _SCRAM.fullmatch(rest)):
        return _scram(_SCRAMS[name], parts)
    raise UnknownScheme(f"is of scheme {name}, which is not known, or damaged")


def scram_keys(stored: str) -> str | None:
    """Return the keys that a {SCRAM-SHA-256} hash is, in the form of RFC 5803; None for others.

    Keys of fewer iterations than RFC 7677 §4 allows serve as a hash only.
    """
    found = _SCHEME.fullmatch(stored)
    if found is None or found["name"].upper() != "SCRAM-SHA-256":
        return None
    iterations, salt, stored_key, server = found["rest"].split(",")
    keys = f"SCRAM-SHA-256${iterations}:{salt}${stored_key}:{server}"
    try:
        return keys if read_keys(keys).iterations >= MIN_ITERATIONS else None
    except ValueError:
        return None


def cram_md5_keys(stored: str) -> str | None:
    """Return the keys that a {CRAM-MD5} hash is; None for others."""
    found = _SCHEME.fullmatch(stored)
    return found["rest"] if found and found["name"].upper() in _CRAMS else None


# ---- One function per kind: takes the hash apart once, returns what compares.


def _crypt(stored: str) -> Check:
    parts = _CRYPT.fullmatch(stored)
    if parts is None or int(parts["rounds"] or 0) > MAX_ITERATIONS:
        raise UnknownScheme("would take too long to check")
    return lambda password: (
        "\0" not in password and compare_digest(crypted(stored, password), stored)
    )


def _digest(algorithm: str, is_salted: bool, text: str, encoding: str) -> Check:  # noqa: FBT001
    size = hashlib.new(algorithm, usedforsecurity=False).digest_size
    octets = _octets(text, encoding, size)
    hashed, salt = octets[:size], octets[size:]
    if len(hashed) < size or bool(salt) is not is_salted:
        raise UnknownScheme("is damaged")

    def check(password: str) -> bool:
        made = hashlib.new(algorithm, password.encode() + salt, usedforsecurity=False)
        return compare_digest(made.digest(), hashed)

    return check


def _octets(text: str, encoding: str, size: int) -> bytes:
    """Read hex or base64; without a word on it, hex of just the digest's length is hex."""
    try:
        if encoding == "HEX" or (not encoding and len(text) == size * 2):
            return bytes.fromhex(text)
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as bad:
        raise UnknownScheme("is damaged") from bad


def _pbkdf2(parts: re.Match[str]) -> Check:
    """Dovecot's {PBKDF2}: HMAC-SHA-1, the salt as it is written."""
    hashed = bytes.fromhex(parts["hash"])
    derive = partial(_derived, "sha1", parts["salt"].encode(), _affordable(parts["iterations"]))
    return lambda password: compare_digest(derive(password), hashed)


def _scram(algorithm: str, parts: re.Match[str]) -> Check:
    """Dovecot's {SCRAM-SHA-256}: what the server stores (RFC 5802 §3)."""
    try:
        salt, stored = (b64decode(parts[name], validate=True) for name in ("salt", "stored"))
    except binascii.Error as bad:
        raise UnknownScheme("is damaged") from bad
    derive = partial(_derived, algorithm, salt, _affordable(parts["iterations"]))

    def check(password: str) -> bool:
        client = hmac.digest(derive(prepared(password)), b"Client Key", algorithm)
        return compare_digest(hashlib.new(algorithm, client).digest(), stored)

    return check


def _derived(algorithm: str, salt: bytes, iterations: int, password: str) -> bytes:
    return hashlib.pbkdf2_hmac(algorithm, password.encode(), salt, iterations)


def _affordable(iterations: str) -> int:
    if not 0 < int(iterations) <= MAX_ITERATIONS:
        raise UnknownScheme("would take too long to check")
    return int(iterations)


def _demand_affordable(stored: str) -> None:
    found = _ARGON2.fullmatch(stored)
    if found is None:
        raise UnknownScheme("is damaged")
    if int(found["memory"]) > MAX_ARGON2_KIB:
        raise UnknownScheme("would take too long to check")
