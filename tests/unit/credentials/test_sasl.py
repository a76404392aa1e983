"""PLAIN and LOGIN: what the client may say, and what comes out."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.credentials.sasl import (
    MAX_RESPONSE_OCTETS,
    Attempt,
    Challenge,
    Failed,
    answer,
    start,
)


def b64(text: str) -> bytes:
    return b64encode(text.encode())


def attempt(user: str, word: str) -> Attempt:
    return Attempt(user=user, password=word)


def test_plain_with_initial_response_is_an_attempt_at_once() -> None:
    assert start("plain", b64("\0anna@example.test\0pässword")) == attempt(
        "anna@example.test", "pässword"
    )


def test_plain_without_initial_response_is_asked_with_an_empty_challenge() -> None:
    step = start("PLAIN", None)

    assert isinstance(step, Challenge)
    assert step.wire == b""
    assert answer(step, b64("anna\0anna\0x")) == attempt("anna", "x")


def test_login_asks_for_name_and_password() -> None:
    step = start("LOGIN", None)
    assert isinstance(step, Challenge)
    assert step.wire == b"VXNlcm5hbWU6"

    step = answer(step, b64("anna"))
    assert isinstance(step, Challenge)
    assert step.wire == b"UGFzc3dvcmQ6"

    assert answer(step, b64("secret")) == attempt("anna", "secret")


def test_login_takes_the_name_as_initial_response() -> None:
    step = start("login", b64("anna"))

    assert isinstance(step, Challenge)
    assert step.user == "anna"


def test_nobody_acts_for_somebody_else() -> None:
    assert start("PLAIN", b64("bert\0anna\0x")) == Failed(reason="not authorized")


@pytest.mark.parametrize(
    "line", [b"!", b"=", b64("anna\0x"), b64("\0\0x"), b64("\0anna\0"), b64("a\0b\0c\0d"), b"/w=="]
)
def test_what_is_no_plain_response_is_malformed(line: bytes) -> None:
    step = start("PLAIN", None)
    assert isinstance(step, Challenge)

    assert answer(step, line) == Failed(reason="malformed")


def test_a_star_cancels() -> None:
    step = start("LOGIN", None)
    assert isinstance(step, Challenge)

    assert answer(step, b"*") == Failed(reason="cancelled")


def test_an_unknown_mechanism_is_named_so() -> None:
    assert start("CRAM-MD5", None) == Failed(reason="unknown mechanism")


def test_an_over_long_response_is_malformed() -> None:
    assert start("PLAIN", b"A" * (MAX_RESPONSE_OCTETS + 4)) == Failed(reason="malformed")


def test_a_password_is_never_printed() -> None:
    assert "secret" not in repr(attempt("anna", "secret"))


@given(st.binary(max_size=200))
def test_any_octets_are_an_attempt_a_challenge_or_a_failure(octets: bytes) -> None:
    for mechanism in ("PLAIN", "LOGIN"):
        step = start(mechanism, octets)
        if isinstance(step, Challenge):
            step = answer(step, octets)
        assert isinstance(step, Attempt | Failed)
