"""Logins: what a failure costs, and whom we no longer listen to."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import dataclass
from datetime import timedelta

import pytest

from ingress_smtp import replies
from ingress_smtp.authentication import Authentication, Login
from ingress_smtp.commands import Auth
from posthouse.credentials.failures import Failures
from posthouse.mail.encryption import Tls
from posthouse.mail.rates import Rate
from support.logins import everybody

TLS = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")


@dataclass(frozen=True)
class Wire:
    """A connection of which only the facts are asked."""

    client: str = "192.0.2.1"
    tls: Tls = TLS


def plain(user: str, word: str, authorization: str = "") -> Auth:
    return Auth("PLAIN", b64encode(f"{authorization}\0{user}\0{word}".encode()))


async def nobody_asks(_: bytes) -> bytes:
    raise AssertionError


async def cancel(_: bytes) -> bytes:
    return b"*"


@pytest.fixture
def logins() -> Authentication:
    return Authentication(everybody(), penalty=timedelta())


async def log_in(logins: Authentication, command: Auth, client: str = "192.0.2.1") -> Login:
    return await logins.login(command, Wire(client), nobody_asks)  # type: ignore[arg-type]


async def test_the_right_password_gives_the_account_in_its_own_form(logins: Authentication) -> None:
    found = await log_in(logins, plain("Anna@Example.Test", "secret"))

    assert found == Login(replies.OK_AUTHENTICATED, "anna@example.test")


async def test_a_wrong_password_and_a_wrong_name_are_answered_alike(logins: Authentication) -> None:
    for wrong in (plain("anna@example.test", "guess"), plain("no address", "guess")):
        assert await log_in(logins, wrong) == Login(replies.AUTH_WRONG)


async def test_an_outage_is_no_wrong_password(logins: Authentication) -> None:
    found = await log_in(logins, plain("away@example.test", "secret"))

    assert found == Login(replies.AUTH_UNAVAILABLE)


async def test_an_exchange_that_failed_names_its_reason(logins: Authentication) -> None:
    found = await logins.login(Auth("LOGIN", None), Wire(), cancel)  # type: ignore[arg-type]
    assert found == Login(replies.AUTH_CANCELLED)
    assert await log_in(logins, Auth("GSSAPI", None)) == Login(replies.AUTH_UNKNOWN)
    assert await log_in(logins, Auth("PLAIN", b"!")) == Login(replies.AUTH_MALFORMED)
    other = plain("anna@example.test", "secret", authorization="bert@example.test")
    assert await log_in(logins, other) == Login(replies.AUTH_WRONG)


async def test_who_fails_again_and_again_is_not_verified_for_a_while() -> None:
    failures = Failures(rate=Rate(2, timedelta(minutes=1)))
    logins = Authentication(everybody(), penalty=timedelta(), failures=failures)
    for _ in range(2):
        await log_in(logins, plain("anna@example.test", "guess"))

    right = plain("anna@example.test", "secret")
    assert await log_in(logins, right) == Login(replies.AUTH_TOO_OFTEN)
    assert (await log_in(logins, right, "192.0.2.2")).account == "anna@example.test"


async def test_of_many_guesses_at_once_no_more_are_told_than_one_after_the_other() -> None:
    failures = Failures(rate=Rate(5, timedelta(minutes=1)))
    logins = Authentication(everybody(), penalty=timedelta(), failures=failures)

    guesses = [log_in(logins, plain("anna@example.test", "guess")) for _ in range(20)]
    right = log_in(logins, plain("anna@example.test", "secret"))
    *wrong, last = await asyncio.gather(*guesses, right)

    assert [each.reply for each in wrong].count(replies.AUTH_WRONG) == 5
    assert last == Login(replies.AUTH_TOO_OFTEN)


async def test_each_failure_is_answered_later() -> None:
    logins = Authentication(everybody(), penalty=timedelta(seconds=0.02))
    clock = asyncio.get_running_loop().time

    began = clock()
    for _ in range(4):
        await log_in(logins, plain("anna@example.test", "guess"))
    assert clock() - began >= 0.02 + 0.04 + 0.08 + 0.16

    began = clock()
    await log_in(logins, plain("anna@example.test", "secret"))
    assert clock() - began < 0.3
