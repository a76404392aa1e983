"""Making keys, and what is published of them (RFC 6376 §3.6.1, §3.6.2; RFC 8463 §4)."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Literal, TypeAlias

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from posthouse.authenticity.dkim.keys import MAX_RSA_BITS, BadKey, Key, parse_key
from posthouse.authenticity.dkim.signing import PrivateKey, private_key

Algorithm: TypeAlias = Literal["rsa", "ed25519"]

RSA_BITS = 2048  # RFC 8301 §3.2
LEAST_IMPORTED_BITS = 1024  # likewise: below it nobody believes
_KIND = re.compile(r"(?:\A|;)[ \t]*k[ \t]*=")
STRING_OCTETS = 255  # RFC 1035 §3.3: of one character-string


def make_pem(algorithm: Algorithm) -> str:
    """Return a new private key, PEM of PKCS #8; of RSA that takes up to a second of CPU."""
    key: PrivateKey
    if algorithm == "ed25519":
        key = Ed25519PrivateKey.generate()
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    return _pem(key)


def normal_pem(pem: str) -> str:
    """Return a key of another program's as `make_pem` writes it; raise `ValueError`."""
    key = private_key(pem)
    if isinstance(key, rsa.RSAPrivateKey) and not (
        LEAST_IMPORTED_BITS <= key.key_size <= MAX_RSA_BITS
    ):
        raise ValueError(f"a key of {key.key_size} bits: others do not believe it")
    return _pem(key)


def _pem(key: PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def algorithm_of(pem: str) -> Algorithm:
    """Return what ``pem`` signs by; raise `ValueError`."""
    return "ed25519" if isinstance(private_key(pem), Ed25519PrivateKey) else "rsa"


def record_of(pem: str) -> str:
    """Return the text that is published for ``pem``: ``v=DKIM1; k=rsa; p=...``."""
    key = private_key(pem)
    if isinstance(key, Ed25519PrivateKey):
        octets = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return f"v=DKIM1; k=ed25519; p={b64encode(octets).decode()}"
    octets = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={b64encode(octets).decode()}"


def zone_line(name: str, record: str) -> str:
    """Return the line of a zone file that publishes ``record``: in strings of at most 255 octets."""
    pieces = [record[at : at + STRING_OCTETS] for at in range(0, len(record), STRING_OCTETS)]
    return f"{name}. IN TXT ( " + " ".join(f'"{piece}"' for piece in pieces) + " )"


def fault_of(record: str, published: Sequence[str]) -> str:
    """Return what is wrong with what is ``published`` for the key of ``record``; empty if nothing."""
    if len(published) != 1:
        return f"{len(published)} text records stand there; readers take any of them"
    text, ours = published[0], parse_key(record)
    try:
        theirs = parse_key(text)
    except BadKey as wrong:
        return _slip(text, record) or str(wrong)
    if _numbers(theirs) != _numbers(ours):
        return "another key is published"
    if theirs.is_testing:
        return "t=y: readers take it for a test, and our mail for unsigned"
    return ""


def _slip(text: str, record: str) -> str:
    """Return what people often do wrong, if it explains why ``text`` is no key."""
    has_key = re.search("p=.", text)
    slips = (
        ("\\" in text, "backslashes stand in it: they belong into zone files only"),
        ('"' in text, "quotation marks stand in it: they belong around it in zone files only"),
        (
            has_key and record.startswith(text.rstrip()),
            f"it is cut off after {len(text)} characters",
        ),
        (
            has_key and "k=ed25519" in record and not _KIND.search(text),
            "k=ed25519 is missing: readers expect RSA",
        ),
    )
    return next((why for applies, why in slips if applies), "")


def _numbers(key: Key) -> object:
    public = key.public
    if isinstance(public, rsa.RSAPublicKey):
        return public.public_numbers()
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)
