"""Published keys (RFC 6376 §3.6.1, RFC 8301, RFC 8463) and what is signed with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from posthouse.authenticity.dkim.signature import BadSignature, base64
from posthouse.authenticity.tags import BadTags, parse_tags, words

MIN_RSA_BITS = 1024  # RFC 8301 §3.2
MAX_RSA_BITS = 8192  # above it a check is work for us, and no more safety
MAX_EXPONENT = 2**32  # likewise: 65537 is usual
REMEMBERED = 2000  # keys: senders come back
ED25519_OCTETS = 32
MAIL = frozenset({"*", "email"})  # s= (RFC 6376 §3.6.1)
TLS_REPORTS = MAIL | {"tlsrpt"}  # RFC 8460 §3
# What stands before the octets of an RSA key that is published bare (PKCS #1), as some are.
_RSA_TAG = bytes.fromhex("300d06092a864886f70d0101010500")

PublicKey: TypeAlias = rsa.RSAPublicKey | Ed25519PublicKey


class BadKey(ValueError):
    """The record holds no key that can be used: permerror."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key record.

    Attributes:
        public: The key.
        is_strict: i= must be of the very domain (t=s).
        is_testing: The domain is only trying it out (t=y).
        bits: Of an RSA key; 256 for Ed25519.
    """

    public: PublicKey
    is_strict: bool = False
    is_testing: bool = False
    bits: int = 256

    @property
    def kind(self) -> str:
        """``rsa`` or ``ed25519``."""
        return "ed25519" if isinstance(self.public, Ed25519PublicKey) else "rsa"

    @property
    def least_bits(self) -> int:
        """Fewer prove nothing."""
        return MIN_RSA_BITS if self.kind == "rsa" else 0

    def is_signed(self, digest: bytes, signature: bytes) -> bool:
        """Return True if ``signature`` is one of the SHA-256 hash ``digest`` by this key."""
        try:
            if isinstance(self.public, Ed25519PublicKey):
                self.public.verify(signature, digest)  # RFC 8463 §3: of the hash
            else:
                self.public.verify(signature, digest, padding.PKCS1v15(), Prehashed(SHA256()))
        except InvalidSignature:
            return False
        return True


@lru_cache(REMEMBERED)
def parse_key(text: str, services: frozenset[str] = MAIL) -> Key:
    """Return the key of the record ``text``, if it is for one of ``services``; raise `BadKey`."""
    try:
        tags = parse_tags(text)
    except BadTags as wrong:
        raise BadKey(str(wrong)) from wrong
    if tags.get("v", "DKIM1") != "DKIM1" or ("v" in tags and next(iter(tags)) != "v"):
        raise BadKey("not a key of DKIM")
    if "sha256" not in words(tags.get("h", "sha256")):
        raise BadKey("the key does not sign SHA-256")
    if services.isdisjoint(words(tags.get("s", "*"))):
        raise BadKey("the key is not for mail")
    if not tags.get("p"):
        raise BadKey("the key is revoked" if "p" in tags else "no key in the record")
    flags = words(tags.get("t", ""))
    public = _public(tags.get("k", "rsa"), tags["p"])
    bits = public.key_size if isinstance(public, rsa.RSAPublicKey) else 256
    return Key(public, is_strict="s" in flags, is_testing="y" in flags, bits=bits)


def _public(kind: str, text: str) -> PublicKey:
    try:
        octets = base64(text)
        if kind == "ed25519":
            return Ed25519PublicKey.from_public_bytes(octets)
        if kind != "rsa":
            raise BadKey(f"a key of the kind {kind[:40]}")
        public = _rsa(octets)
    except (BadSignature, ValueError, UnsupportedAlgorithm) as wrong:
        raise BadKey(f"not a key: {wrong}") from wrong
    return public


def _rsa(octets: bytes) -> rsa.RSAPublicKey:
    try:
        public = load_der_public_key(octets)
    except ValueError:
        public = load_der_public_key(_wrapped(octets))
    if not isinstance(public, rsa.RSAPublicKey):
        raise BadKey("not an RSA key")
    if public.key_size > MAX_RSA_BITS:
        raise BadKey(f"a key of {public.key_size} bits")
    if public.public_numbers().e > MAX_EXPONENT:
        raise BadKey("an exponent that is only work")
    return public


def _wrapped(octets: bytes) -> bytes:
    """Return a bare RSAPublicKey as a SubjectPublicKeyInfo (RFC 5280 §4.1)."""
    bits = b"\x00" + octets
    return _der(0x30, _RSA_TAG + _der(0x03, bits))


def _der(tag: int, octets: bytes) -> bytes:
    size = len(octets)
    length = bytes([size]) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")  # noqa: PLR2004
    return bytes([tag]) + length + octets
