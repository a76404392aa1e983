"""Who guesses again and again: counted by network, locked out for a while, answered late."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from posthouse.credentials.failures import (
    FRESH,
    LONGEST_PAUSE,
    MAX_FAILURES,
    WHAT,
    WINDOW,
    Failures,
    pause_after,
)
from posthouse.mail.errors import Unavailable
from posthouse.mail.rates import UNLIMITED, Buckets

CLIENT = "192.0.2.1"


def fail(counted: Failures, client: str, times: int) -> None:
    for _ in range(times):
        counted.add(client)


def test_a_network_that_guesses_is_locked_out_for_a_while() -> None:
    now = 0.0
    counted = Failures(Buckets(lambda: now))
    fail(counted, CLIENT, MAX_FAILURES - 1)
    assert not counted.are_too_many(CLIENT)
    counted.add(CLIENT)
    assert counted.are_too_many(CLIENT)
    assert not counted.are_too_many("192.0.2.2")

    now += WINDOW.total_seconds() - 1
    assert counted.are_too_many(CLIENT)
    now += WINDOW.total_seconds() / MAX_FAILURES
    assert not counted.are_too_many(CLIENT)


def test_who_fails_again_right_behind_it_is_locked_out_anew() -> None:
    now = 0.0
    counted = Failures(Buckets(lambda: now))
    fail(counted, CLIENT, MAX_FAILURES)
    now += WINDOW.total_seconds() * 1.1
    assert not counted.are_too_many(CLIENT)

    fail(counted, CLIENT, 10)
    assert counted.are_too_many(CLIENT)
    now += WINDOW.total_seconds() * 0.95
    assert counted.are_too_many(CLIENT)


@pytest.mark.parametrize(
    ("first", "other", "is_same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", CLIENT, True),
        ("no address:", CLIENT, False),
    ],
)
def test_a_network_of_ipv6_is_one_client(first: str, other: str, *, is_same: bool) -> None:
    counted = Failures()
    fail(counted, first, MAX_FAILURES)

    assert counted.are_too_many(first)
    assert counted.are_too_many(other) is is_same


def test_some_are_never_locked_out() -> None:
    buckets = Buckets()
    exempt, unlimited = Failures(buckets, name=lambda _: ""), Failures(buckets, UNLIMITED)
    fail(exempt, CLIENT, 1000)
    fail(unlimited, CLIENT, 1000)

    assert not exempt.are_too_many(CLIENT)
    assert not unlimited.are_too_many(CLIENT)
    assert buckets.size == 0


def test_each_failure_is_answered_later_than_the_one_before() -> None:
    second = timedelta(seconds=1)
    assert [pause_after(n, second) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert pause_after(50, second) == LONGEST_PAUSE.total_seconds()
    assert pause_after(50, timedelta(minutes=1)) == 60
    assert pause_after(50, timedelta()) == 0


class Others:
    """The other pods: what they have counted, and in which order they are asked."""

    def __init__(self) -> None:
        self.now = 0.0
        self.buckets = Buckets(lambda: self.now)
        self.counted = 0.0
        self.steps: list[str] = []

    async def ask(self) -> None:
        self.steps.append("asked")
        told = self.buckets.told()
        assert [each.key for each in told] == [(CLIENT, WHAT)]
        await asyncio.sleep(0)
        self.buckets.learn(told, {(CLIENT, WHAT): self.counted} if self.counted else {})
        self.steps.append("heard")

    async def verify(self) -> str:
        self.steps.append("begun")
        await asyncio.sleep(0)
        self.steps.append("verified")
        return "anna"

    async def outcome(self, counted: Failures) -> tuple[str | None, list[str]]:
        """Return what comes of a login now, and the steps to it."""
        self.steps = []
        return await counted.unless_too_many(CLIENT, self.verify), self.steps


async def test_a_pod_asks_the_others_while_it_looks_at_a_password() -> None:
    others = Others()
    counted = Failures(others.buckets, ask=others.ask)
    assert await others.outcome(counted) == ("anna", ["begun", "asked", "verified", "heard"])
    others.now += FRESH
    assert await others.outcome(counted) == ("anna", ["begun", "verified"])

    others.now += FRESH / 2
    others.counted = 2 * WINDOW.total_seconds()
    found, steps = await others.outcome(counted)
    assert found is None  # it was right, and nobody learns of it
    assert steps[-1] == "heard"


async def test_no_password_is_looked_at_of_who_is_locked_out() -> None:
    others = Others()
    counted = Failures(others.buckets, ask=others.ask)
    others.counted = 2 * WINDOW.total_seconds()
    await others.outcome(counted)
    assert await others.outcome(counted) == (None, [])

    others.now += 2 * FRESH
    assert await others.outcome(counted) == (None, ["asked", "heard"])
    others.now += 2 * FRESH  # somebody has emptied it meanwhile
    others.counted = 0.0
    assert await others.outcome(counted) == ("anna", ["asked", "heard", "begun", "verified"])


async def test_who_asks_is_waited_for_when_verifying_fails() -> None:
    heard = False

    async def ask() -> None:
        nonlocal heard
        await asyncio.sleep(0)
        heard = True

    async def verify() -> None:
        raise Unavailable("no directory")

    with pytest.raises(Unavailable):
        await Failures(ask=ask).unless_too_many(CLIENT, verify)
    assert heard


async def test_nobody_is_asked_about_who_is_never_locked_out() -> None:
    async def ask() -> None:
        raise AssertionError

    async def verify() -> str:
        return "anna"

    exempt = Failures(name=lambda _: "", ask=ask)
    assert await exempt.unless_too_many(CLIENT, verify) == "anna"
