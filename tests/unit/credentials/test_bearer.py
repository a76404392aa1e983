"""OAUTHBEARER and XOAUTH2: what clients may say, and what they are told."""

from __future__ import annotations

from base64 import b64decode, b64encode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.credentials.bearer import (
    Bearer,
    Denied,
    Hint,
    oauthbearer,
    read_oauthbearer,
    read_xoauth2,
    xoauth2,
)
from posthouse.credentials.exchange import (
    Accepted,
    Challenge,
    Channel,
    Failed,
    Identity,
    Mechanism,
    Question,
    Refused,
    answer,
    start,
)

CHANNEL = Channel(service="imap", client="192.0.2.1", is_trusted=True)
HINT = Hint(configuration="https://id.example.test/.well-known/openid-configuration", scope="mail")
TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="  # noqa: S105 - of RFC 7628
RFC_7628_4_1 = (
    b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01"
    b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
)
BOTH = pytest.mark.parametrize("mechanism", [oauthbearer(HINT), xoauth2(HINT)])


def shown(user: str, token: str) -> Bearer:
    return Bearer(user=user, token=token)


def test_the_example_of_the_rfc_is_read() -> None:
    assert read_oauthbearer(RFC_7628_4_1) == Bearer(user="user@example.com", token=TOKEN)


def test_the_example_of_google_is_read() -> None:
    response = b"user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhd\x01\x01"

    assert read_xoauth2(response) == shown(
        "someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhd"
    )


def test_a_name_may_be_left_to_the_token_and_have_commas() -> None:
    assert read_oauthbearer(b"n,,\x01auth=bearer abc\x01\x01") == shown("", "abc")
    assert read_oauthbearer(b"y,a=a=2Cb=3Dc,\x01auth=Bearer x\x01\x01") == shown("a,b=c", "x")


def test_a_client_that_looks_for_the_issuer_sends_no_token() -> None:
    assert read_oauthbearer(b"n,a=u@example.com,\x01auth=\x01\x01") == Bearer(
        user="u@example.com", token=""
    )


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\x01",
        b"n,,",
        b"n,,\x01\x01",  # no auth
        b"n,,\x01host=x\x01\x01",
        b"n,,\x01auth=Bearer x\x01",  # one separator short
        b"p=tls-exporter,,\x01auth=Bearer x\x01\x01",  # no channel bindings here
        b"n,a=,\x01auth=Bearer x\x01\x01",
        b"n,a=x=2D,\x01auth=Bearer x\x01\x01",  # only =2C and =3D are saslname's
        b"n,a=x\0,\x01auth=Bearer x\x01\x01",
        b"n,,\x01auth=Basic YTpi\x01\x01",
        b"n,,\x01auth=Bearer x y\x01\x01",
        b"n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01",
        b"n,,\x01auth=Bearer x\x01\x01\x01",
        b"n,,\x01auth\x01\x01",
        b"n,,\x01auth=Bearer \xff\x01\x01",
    ],
)
def test_what_is_no_response_of_oauthbearer_is_not_read(response: bytes) -> None:
    assert read_oauthbearer(response) is None


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"user=\x01auth=Bearer x\x01\x01",
        b"auth=Bearer x\x01\x01",
        b"user=a\x01\x01",
        b"user=a\0b\x01auth=Bearer x\x01\x01",
        b"user=a\x01auth=Bearer x\x01",
        b"USER=a\x01auth=Bearer x\x01\x01",
    ],
)
def test_what_is_no_response_of_xoauth2_is_not_read(response: bytes) -> None:
    assert read_xoauth2(response) is None


@BOTH
def test_the_house_is_asked_and_its_word_counts(mechanism: Mechanism) -> None:
    line = b64encode(
        RFC_7628_4_1 if mechanism.name == "OAUTHBEARER" else b"user=u\x01auth=Bearer x\x01\x01"
    )
    identity = Identity(account_id=1, address="user@example.com")

    step = start(mechanism, line, CHANNEL)

    assert isinstance(step, Question)
    assert isinstance(step.attempt, Bearer)
    assert step.then(Accepted(identity)) == Accepted(identity)


@BOTH
def test_without_an_initial_response_the_client_is_asked(mechanism: Mechanism) -> None:
    step = start(mechanism, None, CHANNEL)

    assert isinstance(step, Challenge)
    assert step.wire == b""


def refusal(mechanism: Mechanism, verdict: Refused) -> Challenge:
    """Return what the client is told behind ``verdict``."""
    response = {"OAUTHBEARER": b"n,,\x01auth=Bearer x\x01\x01"}.get(
        mechanism.name, b"user=u\x01auth=Bearer x\x01\x01"
    )
    step = start(mechanism, b64encode(response), CHANNEL)
    assert isinstance(step, Question)
    told = step.then(verdict)
    assert isinstance(told, Challenge)
    return told


def test_a_refusal_tells_where_tokens_are_to_be_had_and_fails_behind_the_dummy() -> None:
    told = refusal(oauthbearer(HINT), Refused())

    assert msgspec.json.decode(b64decode(told.wire)) == {
        "status": "invalid_token",
        "scope": "mail",
        "openid-configuration": HINT.configuration,
    }
    assert answer(told, b"AQ==") == Failed("wrong")  # RFC 7628 §3.2.3: ^A


def test_a_missing_scope_is_told() -> None:
    told = refusal(oauthbearer(HINT), Denied(status="insufficient_scope"))

    assert msgspec.json.decode(told.octets)["status"] == "insufficient_scope"


def test_xoauth2_tells_as_google_does_and_fails_behind_an_empty_line() -> None:
    told = refusal(xoauth2(HINT), Denied())

    assert msgspec.json.decode(told.octets) == {
        "status": "401",
        "schemes": "bearer",
        "scope": "mail",
    }
    assert answer(told, b"") == Failed("wrong")


@BOTH
def test_nonsense_is_told_before_it_fails_and_cancelling_is_heard(mechanism: Mechanism) -> None:
    told = start(mechanism, b64encode(b"rubbish"), CHANNEL)

    assert isinstance(told, Challenge)
    assert msgspec.json.decode(told.octets)["status"] in {"invalid_request", "400"}
    assert answer(told, b"AQ==") == Failed("malformed")
    assert answer(told, b"*") == Failed("cancelled")


def test_a_token_is_never_printed() -> None:
    assert TOKEN not in repr(read_oauthbearer(RFC_7628_4_1))


@BOTH
@given(octets=st.binary(max_size=120) | st.binary(max_size=40).map(lambda b: b"n,," + b))
def test_any_octets_are_an_attempt_or_told_to_be_none(mechanism: Mechanism, octets: bytes) -> None:
    step = start(mechanism, b64encode(octets) or b"=", CHANNEL)

    assert isinstance(step, Challenge | Question)


@given(
    user=st.text(st.characters(exclude_characters="\0\x01", codec="utf-8"), min_size=1),
    token=st.text("abcXYZ019-._~+/", min_size=1),
)
def test_what_a_client_writes_is_what_is_read(user: str, token: str) -> None:
    name = user.replace("=", "=3D").replace(",", "=2C")

    response = f"n,a={name},\x01host=x\x01auth=Bearer {token}\x01\x01".encode()

    assert read_oauthbearer(response) == Bearer(user=user, token=token)
