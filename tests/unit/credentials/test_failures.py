"""Who guesses again and again: counted by address or network, forgotten, and never too many."""

from __future__ import annotations

import pytest

from posthouse.credentials import failures
from posthouse.credentials.failures import MAX_FAILURES, WINDOW, Failures

CLIENT = "192.0.2.1"


def fail(counted: Failures, client: str, times: int) -> None:
    for _ in range(times):
        counted.add(client)


def test_failures_count_for_a_while() -> None:
    now = 0.0
    counted = Failures(clock=lambda: now)
    fail(counted, CLIENT, MAX_FAILURES - 1)
    assert not counted.are_too_many(CLIENT)
    counted.add(CLIENT)
    assert counted.are_too_many(CLIENT)
    assert not counted.are_too_many("192.0.2.2")

    now += WINDOW.total_seconds() + 1
    assert not counted.are_too_many(CLIENT)


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


def test_the_number_of_clients_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "MAX_CLIENTS", 3)
    counted = Failures()
    for n in range(10):
        counted.add(f"192.0.2.{n}")

    assert len(counted._counts) == 3
