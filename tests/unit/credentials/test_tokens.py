"""Tokens: which are believed."""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64encode
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from posthouse.credentials.tokens import (
    MAX_KEYS,
    BadToken,
    Key,
    Terms,
    UnknownKey,
    keys_of,
    read,
)
from support.issuer import AUDIENCE, Issuer, SigningKey

URL = "https://id.example.test"
TERMS = Terms(issuer=URL, audiences=(AUDIENCE, "other"))
ISSUER = Issuer(url=URL)


def keys(*of: SigningKey) -> tuple[Key, ...]:
    return keys_of({"keys": [key.public for key in of or ISSUER.keys]})


def since_now(changes: dict[str, Any]) -> dict[str, Any]:
    """Turn seconds from now, which a table of examples can name, into moments."""
    now = int(time.time())
    return {
        name: now + v if isinstance(v, int) and v is not False else v for name, v in changes.items()
    }


KEYS = keys()


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "EdDSA"])
def test_a_token_of_the_issuer_proves_an_address(algorithm: str) -> None:
    key = SigningKey(algorithm)

    assert read(key.sign(ISSUER.claims()), keys(key), TERMS) == "anna@example.test"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"exp": -90}, "expired"),
        ({"nbf": +90}, "expired"),
        ({"iat": +90}, "expired"),
        ({"iss": URL + "/"}, "issuer"),
        ({"aud": "someone else"}, "audience"),
        ({"aud": ["a", "b"]}, "audience"),
        ({"exp": None}, "claims"),
        ({"iss": None}, "claims"),
        ({"aud": None}, "claims"),
        ({"email": None}, "claims"),
        ({"email": ""}, "claims"),
        ({"email": ["anna@example.test"]}, "claims"),
        ({"email_verified": False}, "claims"),
        ({"email_verified": "false"}, "claims"),
        ({"exp": "tomorrow"}, "malformed"),
    ],
)
def test_a_token_that_says_something_else_is_refused(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadToken) as bad:
        read(ISSUER.token(**since_now(changes)), KEYS, TERMS)

    assert bad.value.fault == fault


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": -30},  # within the leeway
        {"nbf": +30},
        {"aud": ["x", "other"]},
        {"email_verified": None},
        {"email_verified": "true"},
        {"nbf": None, "iat": None},
    ],
)
def test_a_token_that_says_enough_is_believed(changes: dict[str, Any]) -> None:
    assert read(ISSUER.token(**since_now(changes)), KEYS, TERMS) == "anna@example.test"


def test_another_claim_may_name_the_account_and_a_domain_completes_it() -> None:
    terms = replace(TERMS, claim="preferred_username", domain="example.test")

    assert read(ISSUER.token(preferred_username="bert"), KEYS, terms) == "bert@example.test"
    assert read(ISSUER.token(preferred_username="b@x.test"), KEYS, terms) == "b@x.test"


@pytest.mark.parametrize("granted", [{"scope": "openid mail"}, {"scope": None, "scp": ["mail"]}])
def test_a_scope_may_be_demanded(granted: dict[str, Any]) -> None:
    terms = replace(TERMS, scope=frozenset({"mail"}))

    assert read(ISSUER.token(**granted), KEYS, terms) == "anna@example.test"


@pytest.mark.parametrize("granted", [{"scope": "mailer"}, {"scope": None}, {"scope": 7}])
def test_a_scope_that_is_missing_is_a_fault_of_its_own(granted: dict[str, Any]) -> None:
    with pytest.raises(BadToken, match="scope"):
        read(ISSUER.token(**granted), KEYS, replace(TERMS, scope=frozenset({"mail"})))


def test_somebody_elses_signature_is_refused() -> None:
    with pytest.raises(BadToken, match="signature"):
        read(SigningKey("ES256").sign(ISSUER.claims()), KEYS, TERMS)


def test_a_token_of_a_key_we_do_not_have_is_not_yet_refused() -> None:
    with pytest.raises(UnknownKey):
        read(SigningKey("ES256", id="second").sign(ISSUER.claims()), KEYS, TERMS)


def test_a_token_that_names_no_key_may_be_of_any() -> None:
    other = SigningKey("ES256", id="second")
    token = jwt.encode(ISSUER.claims(), other.private, "ES256")

    assert read(token, keys(*ISSUER.keys, other), TERMS) == "anna@example.test"


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = (urlsafe_b64encode(json.dumps(part).encode()) for part in (header, claims))
    return b".".join(part.rstrip(b"=") for part in parts).decode() + "."


def test_nothing_is_believed_unsigned() -> None:
    with pytest.raises(BadToken, match="algorithm"):
        read(unsigned({"alg": "none"}, ISSUER.claims()), KEYS, TERMS)


def test_the_public_key_is_no_secret_to_sign_with() -> None:
    key = SigningKey("RS256")
    pem = key.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = unsigned({"alg": "HS256", "kid": "first"}, ISSUER.claims()).rstrip(".")
    mark = urlsafe_b64encode(hmac.digest(pem, signed.encode(), "sha256")).rstrip(b"=")
    forged = f"{signed}.{mark.decode()}"

    with pytest.raises(BadToken, match="algorithm"):
        read(forged, keys(key), TERMS)


def test_a_key_serves_only_what_it_is_for() -> None:
    key = SigningKey("RS256")
    token = jwt.encode(ISSUER.claims(), key.private, "RS512", headers={"kid": "first"})

    with pytest.raises(UnknownKey):
        read(token, keys(key), TERMS)


def test_secrets_weak_keys_and_those_of_other_uses_are_passed_over() -> None:
    few_bits = rsa.generate_private_key(65537, key_size=1024)  # noqa: S505 - that is the point
    weak = SigningKey("RS256", private=few_bits)
    listed = [
        weak.public,
        {"kty": "oct", "k": "c2VjcmV0", "kid": "s"},
        {**SigningKey("ES256").public, "use": "enc"},
        {**SigningKey("ES256").public, "alg": "ES384"},
        {"kty": "EC", "crv": "P-256", "x": "!", "y": "!"},
        {"kty": "new"},
        "rubbish",
        SigningKey("ES256", id="good").public,
    ]

    assert [key.id for key in keys_of({"keys": listed})] == ["good"]


def test_so_many_keys_and_no_more() -> None:
    public = SigningKey("ES256").public

    assert len(keys_of({"keys": [public] * (MAX_KEYS + 5)})) == MAX_KEYS


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, "keys"])
def test_what_is_no_set_of_keys_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="not a JWK set"):
        keys_of(document)


@given(
    st.text(max_size=60)
    | st.binary(max_size=40).map(lambda b: unsigned({"alg": "ES256"}, {}) + b.hex())
)
def test_any_text_is_refused_or_of_an_unknown_key(token: str) -> None:
    with pytest.raises((BadToken, UnknownKey)):
        read(token, KEYS, TERMS)
