"""Who guesses again and again: counted by network, locked out for a while, answered late."""

from __future__ import annotations

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


async def test_a_pod_asks_the_others_before_it_looks_at_a_password() -> None:
    now = 0.0
    buckets = Buckets(lambda: now)
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1
        told = buckets.told()
        assert [each.key for each in told] == [(CLIENT, WHAT)]
        buckets.learn(told, {(CLIENT, WHAT): 2 * WINDOW.total_seconds()} if asked > 1 else {})

    counted = Failures(buckets, ask=ask)
    assert not await counted.are_known_to_be_too_many(CLIENT)
    now += FRESH
    assert not await counted.are_known_to_be_too_many(CLIENT)
    assert asked == 1

    now += FRESH / 2
    assert await counted.are_known_to_be_too_many(CLIENT)
    assert asked == 2
    exempt = Failures(buckets, name=lambda _: "", ask=ask)
    assert not await exempt.are_known_to_be_too_many(CLIENT)
    assert asked == 2
