"""Tokens: JSON Web Tokens (RFC 7519) of one issuer, read and believed or not. No I/O.

Only signatures that need the issuer's private key are taken (RFC 8725 §3.1): with a shared secret
or with ``none``, whoever knows the public key could sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from posthouse.telemetry.logs import get_logger

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
MAX_KEYS = 100  # of one issuer; more are passed over
MIN_RSA_BITS = 2048  # NIST SP 800-131A
MAX_RSA_BITS = 8192  # checking a signature with a larger one takes too long

PublicKey: TypeAlias = (
    rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
)
Fault: TypeAlias = Literal[
    "malformed", "algorithm", "signature", "expired", "issuer", "audience", "claims", "scope",
    "account",
]  # fmt: skip

log = get_logger()


class BadToken(Exception):
    """A token that is not believed.

    Attributes:
        fault: From a closed set, for logs and metrics.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


class UnknownKey(Exception):
    """No key of ours fits the token; the issuer may have new ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One of the issuer's keys (RFC 7517).

    Attributes:
        id: Its ``kid``; empty if it has none.
        public: What checks signatures.
        algorithms: Those it may be used with.
    """

    id: str
    public: PublicKey
    algorithms: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a token must say.

    Attributes:
        issuer: Its ``iss``, to the letter.
        audiences: One of them must be in ``aud``.
        claim: Whose value is the account's address.
        domain: Behind a value without ``@``; empty: such a value names nobody.
        scope: Words that ``scope`` or ``scp`` must hold; empty for none.
        leeway: How far its clock may be from ours.
    """

    issuer: str
    audiences: tuple[str, ...]
    claim: str = "email"
    domain: str = ""
    scope: frozenset[str] = frozenset()
    leeway: timedelta = timedelta(seconds=60)


def keys_of(document: object) -> tuple[Key, ...]:
    """Read a JWK set (RFC 7517 §5); what is no key for signatures, or a weak one, is left out.

    Raises ValueError if it is no JWK set.
    """
    match document:
        case {"keys": list(listed)}:
            return tuple(key for entry in listed[:MAX_KEYS] if (key := _key(entry)) is not None)
        case _:
            raise ValueError("not a JWK set")


def _key(entry: object) -> Key | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    try:
        public = jwt.PyJWK(entry).key
    except jwt.PyJWTError as error:
        log.warning("key of the issuer passed over", key=entry.get("kid"), reason=str(error))
        return None
    fitting = _algorithms_of(public)
    if "alg" in entry:
        fitting &= {str(entry["alg"])}
    return Key(id=str(entry.get("kid", "")), public=public, algorithms=fitting) if fitting else None


def _algorithms_of(key: object) -> frozenset[str]:
    """Return the algorithms that a key is good for; none for secrets and for weak keys."""
    match key:
        case rsa.RSAPublicKey() if MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            return frozenset(name for name in ALGORITHMS if name[:2] in {"RS", "PS"})
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            return frozenset({"ES256"})
        case ec.EllipticCurvePublicKey(curve=ec.SECP384R1()):
            return frozenset({"ES384"})
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return frozenset({"EdDSA"})
        case _:
            return frozenset()


def read(token: str, keys: Sequence[Key], terms: Terms) -> str:
    """Return the address that ``token`` proves.

    Raises `BadToken`, and `UnknownKey` if none of ``keys`` is the one that it names.
    """
    header = _header(token)
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        raise BadToken("algorithm")
    named = header.get("kid", "")
    fitting = [
        key for key in keys if algorithm in key.algorithms and (not named or key.id == named)
    ]
    if not fitting:
        raise UnknownKey
    return address_in(_claims(token, fitting, algorithm, terms), terms)


def issuer_in(token: str) -> str:
    """Return whose a token says it is, empty if it does not; nothing is proven by that."""
    try:
        said = jwt.decode(token, options={"verify_signature": False}).get("iss", "")
    except jwt.PyJWTError:
        return ""
    return said if isinstance(said, str) else ""


def _header(token: str) -> Mapping[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise BadToken("malformed") from error


def _claims(token: str, keys: Sequence[Key], algorithm: str, terms: Terms) -> Mapping[str, Any]:
    """Check the signature and what is said of issuer, audience and time (RFC 7519 §4.1)."""
    for key in keys:
        try:
            return jwt.decode(
                token,
                key.public,
                algorithms=[algorithm],
                issuer=terms.issuer,
                audience=terms.audiences,
                leeway=terms.leeway,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.InvalidSignatureError:
            continue  # a token without `kid` may be of any of them
        except jwt.PyJWTError as error:
            raise BadToken(_fault(error)) from error
    raise BadToken("signature")


def _fault(error: jwt.PyJWTError) -> Fault:
    match error:
        case jwt.ExpiredSignatureError() | jwt.ImmatureSignatureError():
            return "expired"
        case jwt.InvalidIssuerError():
            return "issuer"
        case jwt.InvalidAudienceError():
            return "audience"
        case jwt.MissingRequiredClaimError():
            return "claims"
        case _:
            return "malformed"


def address_in(claims: Mapping[str, Any], terms: Terms) -> str:
    """Return the address that the claims say, as they say it; raise `BadToken`.

    An address that the issuer itself has not verified proves nothing (OpenID Connect Core §5.7).
    """
    granted = claims.get("scope", claims.get("scp", ""))
    words = granted.split() if isinstance(granted, str) else granted
    if not isinstance(words, list) or not terms.scope <= {str(word) for word in words}:
        raise BadToken("scope")
    value = claims.get(terms.claim)
    if not isinstance(value, str) or not value:
        raise BadToken("claims")
    if terms.claim == "email" and claims.get("email_verified", True) not in {True, "true"}:
        raise BadToken("claims")
    return value if "@" in value or not terms.domain else f"{value}@{terms.domain}"
