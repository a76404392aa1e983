"""How many sessions a destination gets, and when it is left alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from delivery_remote import destinations as room
from delivery_remote.destinations import Destinations
from delivery_remote.next_hop import Destination, Limits, Rest
from delivery_remote.routes import Login, Target
from delivery_remote.trouble import Later
from posthouse.mail.status import Status
from support.outside import manners

AWAY = Later(Status(451, (4, 4, 1)), "Connection refused")
LIMITS = Limits(sessions=8, waiting=2, rest=timedelta(seconds=10), rest_max=timedelta(seconds=60))


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def destination(clock: Clock) -> Destination:
    return Destination("b.test", LIMITS, clock)


def test_a_destination_rests_after_all_its_servers_failed(
    destination: Destination, clock: Clock
) -> None:
    destination.failed(AWAY)

    assert destination.resting() == Rest("b.test", timedelta(seconds=10), AWAY)
    clock.now += 9
    assert destination.resting() == Rest("b.test", timedelta(seconds=1), AWAY)
    clock.now += 1
    assert destination.resting() is None


def test_rests_grow_up_to_a_bound_and_end_with_the_first_success(
    destination: Destination, clock: Clock
) -> None:
    rests = []
    for _ in range(5):
        destination.failed(AWAY)
        start = clock.now
        while destination.resting():
            clock.now += 1
        rests.append(clock.now - start)
    destination.worked()
    destination.failed(AWAY)

    assert rests == [10, 20, 40, 60, 60]
    clock.now += 10
    assert destination.resting() is None


def test_sessions_that_fail_together_make_one_rest(destination: Destination, clock: Clock) -> None:
    for _ in range(5):
        destination.failed(AWAY)

    clock.now += 10
    assert destination.resting() is None


def test_a_session_that_works_ends_the_rest(destination: Destination) -> None:
    destination.failed(AWAY)
    destination.worked()

    assert destination.resting() is None


@pytest.mark.parametrize(
    "change", [{"host": "b.test"}, {"port": 26}, {"login": Login("anna", "secret")}]
)
def test_a_way_to_a_server_that_has_not_failed_ends_the_rest(
    destination: Destination, change: dict[str, Any]
) -> None:
    known = Target(host="a.test", address="127.0.0.1", port=25)
    destination.failed(AWAY, [known])

    destination.meet([replace(known, address="127.0.0.2")])
    assert destination.resting()
    destination.meet([known, replace(known, **change)])
    assert destination.resting() is None


def test_servers_that_fail_one_after_the_other_are_all_known(destination: Destination) -> None:
    some = [Target(host=f"{name}.test", address="127.0.0.1", port=25) for name in "abc"]
    for target in some:
        destination.meet([target])
        destination.failed(AWAY, [target])

    destination.meet(some)

    assert destination.resting()


def test_after_a_rest_one_session_tries(destination: Destination) -> None:
    destination.failed(AWAY)

    assert int(destination.limit) == 1


def test_the_limit_grows_by_success_and_halves_by_refusal(destination: Destination) -> None:
    for _ in range(20):
        destination.worked()
    assert destination.limit == LIMITS.sessions

    destination.strained()
    assert destination.limit == LIMITS.sessions / 2
    for _ in range(20):
        destination.strained()
    assert destination.limit == 1


async def test_one_refusal_among_sessions_that_work_is_no_reason_to_rest(
    destination: Destination,
) -> None:
    async with destination.slot(), destination.slot():
        destination.worked()
        destination.failed(AWAY)

        assert destination.resting() is None


async def test_who_waits_gets_the_next_free_slot_in_order(destination: Destination) -> None:
    destination.limit = 1
    order: list[int] = []

    async def work(n: int) -> None:
        async with destination.slot():
            order.append(n)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(n) for n in range(5)))

    assert order == [0, 1, 2, 3, 4]


async def test_enough_waiting_is_a_crowd(destination: Destination) -> None:
    destination.limit = 1
    done = asyncio.Event()

    async def work() -> None:
        async with destination.slot():
            await done.wait()

    tasks = [asyncio.create_task(work()) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert destination.is_full
    assert destination.is_crowded
    done.set()
    await asyncio.gather(*tasks)
    assert not destination.is_crowded
    assert not destination.is_full


async def test_who_gives_up_waiting_hands_the_turn_on(destination: Destination) -> None:
    destination.limit = 1
    entered = asyncio.Event()
    release = asyncio.Event()

    async def hold() -> None:
        async with destination.slot():
            entered.set()
            await release.wait()

    async def work() -> str:
        async with destination.slot():
            return "worked"

    holder = asyncio.create_task(hold())
    await entered.wait()
    impatient, patient = asyncio.create_task(work()), asyncio.create_task(work())
    await asyncio.sleep(0)
    release.set()
    await holder
    impatient.cancel()

    async with asyncio.timeout(1):
        assert await patient == "worked"


async def test_who_is_cancelled_in_the_line_leaves_no_trace(destination: Destination) -> None:
    destination.limit = 1

    async def wait() -> None:
        async with destination.slot():
            raise AssertionError("there is no place")

    async with destination.slot():
        waiter = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter

        assert not destination._waiters
    assert not destination.is_full


async def test_what_is_unused_is_forgotten_and_what_rests_is_not(clock: Clock) -> None:
    async with Destinations(manners(), LIMITS, clock) as known:
        known.get("idle.test")
        known.get("resting.test").failed(AWAY)
        clock.now += room.FORGET_SECONDS + 1
        known.get("resting.test").failed(AWAY)

        known.sweep()

        assert known.get("resting.test").resting()
        assert known.get("idle.test").unused() == 0


async def test_above_the_bound_the_unused_are_forgotten_at_once(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MAX_KNOWN", 10)
    async with Destinations(manners(), LIMITS, clock) as known:
        for n in range(20):
            known.get(f"d{n}.test")
        clock.now += 1
        known.sweep()

        assert len(known._table) == 0
