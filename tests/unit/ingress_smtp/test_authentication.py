"""Logins: what a failure costs, and whom we no longer listen to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ingress_smtp import replies
from ingress_smtp.authentication import Authentication, Login
from posthouse.credentials.failures import Failures
from posthouse.credentials.sasl import Attempt, Failed
from posthouse.mail.rates import Rate
from support.ingress import Passwords

CLIENT = "192.0.2.1"


def attempt(user: str, word: str) -> Attempt:
    return Attempt(user=user, password=word)


@pytest.fixture
def logins() -> Authentication:
    return Authentication(Passwords(), penalty=timedelta())


async def test_the_right_password_gives_the_account_in_its_own_form(logins: Authentication) -> None:
    found = await logins.login(attempt("Anna@Example.Test", "secret"), CLIENT)

    assert found == Login(replies.OK_AUTHENTICATED, "anna@example.test")


async def test_a_wrong_password_and_a_wrong_name_are_answered_alike(logins: Authentication) -> None:
    for wrong in (attempt("anna@example.test", "guess"), attempt("no address", "guess")):
        assert await logins.login(wrong, CLIENT) == Login(replies.AUTH_WRONG)


async def test_an_outage_is_no_wrong_password(logins: Authentication) -> None:
    found = await logins.login(attempt("away@example.test", "secret"), CLIENT)

    assert found == Login(replies.AUTH_UNAVAILABLE)


async def test_an_exchange_that_failed_names_its_reason(logins: Authentication) -> None:
    assert await logins.login(Failed(reason="cancelled"), CLIENT) == Login(replies.AUTH_CANCELLED)
    assert await logins.login(Failed(reason="not authorized"), CLIENT) == Login(replies.AUTH_WRONG)


async def test_who_fails_again_and_again_is_not_verified_for_a_while() -> None:
    failures = Failures(rate=Rate(2, timedelta(minutes=1)))
    logins = Authentication(Passwords(), penalty=timedelta(), failures=failures)
    for _ in range(2):
        await logins.login(attempt("anna@example.test", "guess"), CLIENT)

    right = attempt("anna@example.test", "secret")
    assert await logins.login(right, CLIENT) == Login(replies.AUTH_TOO_OFTEN)
    assert (await logins.login(right, "192.0.2.2")).account == "anna@example.test"
