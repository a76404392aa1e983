"""When a destination is left alone, and which have one in common."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from delivery_remote import destinations as room
from delivery_remote.destinations import Destinations
from delivery_remote.next_hop import Destination, Limits, Rest
from delivery_remote.pace import Hall, Site, open_shaping
from delivery_remote.routes import Login, Plan, Target
from delivery_remote.trouble import Later
from posthouse.mail.status import Status
from support.outside import manners

AWAY = Later(Status(451, (4, 4, 1)), "Connection refused")
LIMITS = Limits(rest=timedelta(seconds=10), rest_max=timedelta(seconds=60))


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
    return Destination("b.test", LIMITS, Site("b.test", Hall(clock=clock)))


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


def test_those_that_are_put_off_come_round_one_after_the_other(destination: Destination) -> None:
    destination.failed(AWAY)
    rest = destination.resting()
    assert rest is not None

    turns = [destination.in_turn(rest).turn.total_seconds() for _ in range(40_000)]

    assert turns[99] == pytest.approx(10)
    assert turns[5999] == pytest.approx(600)
    assert turns[-1] == 3600
    destination.worked()
    assert destination.in_turn(rest).turn < timedelta(seconds=1)


def test_after_a_rest_one_session_tries(destination: Destination) -> None:
    destination.failed(AWAY)

    assert destination.site.limit == 1


def test_one_of_many_that_share_a_site_does_not_slow_the_others(clock: Clock) -> None:
    site = Site("microsoft", Hall(clock=clock))
    destination = Destination("b-test.mail.protection.outlook.com", LIMITS, site)

    destination.failed(AWAY)

    assert destination.resting()
    assert site.limit > 1


def test_during_a_long_pause_of_its_site_it_rests(destination: Destination) -> None:
    destination.site.pause(9, "421 busy")
    assert destination.resting() is None  # that long it is waited for

    destination.site.pause(60, "421 busy")

    rest = destination.resting()
    assert rest is not None
    assert (rest.name, rest.left, rest.trouble.reply) == (
        "b.test",
        timedelta(minutes=1),
        "421 busy",
    )


async def test_one_refusal_among_sessions_that_work_is_no_reason_to_rest(
    destination: Destination,
) -> None:
    async with destination.slot(), destination.slot():
        destination.worked()
        destination.failed(AWAY)

        assert destination.resting() is None


def _plan(domain: str, *hosts: str, route: bool = False) -> Plan:
    targets = (
        Target(host=host, address="127.0.0.1", port=25, domain="" if route else domain)
        for host in hosts
    )
    return Plan(domain, tuple(targets))


async def test_domains_with_the_same_servers_have_one_destination() -> None:
    async with Destinations(manners(), LIMITS) as known:
        one = known.of(_plan("a.test", "mx1.host.test", "mx2.host.test"))

        assert known.of(_plan("b.test", "mx2.host.test", "mx1.host.test")) is one
        assert known.of(_plan("c.test", "mx1.host.test")) is not one
        assert one.name == one.site.name == "mx1.host.test,mx2.host.test"


async def test_the_name_of_many_servers_is_bounded_and_their_own() -> None:
    hosts = [f"mx{n}.{'long' * 12}.test" for n in range(12)]
    async with Destinations(manners(), LIMITS) as known:
        one = known.of(_plan("a.test", *hosts))
        other = known.of(_plan("a.test", *hosts[:-1]))

    assert len(one.name) < 300
    assert one.name.startswith(hosts[0])
    assert one is not other


async def test_domains_of_a_provider_share_its_site_and_rest_for_themselves() -> None:
    async with Destinations(manners(), LIMITS, open_shaping()) as known:
        one = known.of(_plan("a.test", "a-test.mail.protection.outlook.com"))
        other = known.of(_plan("b.test", "b-test.mail.protection.outlook.com"))
        one.failed(AWAY)

        assert one.site is other.site
        assert one.site.name == "microsoft"
        assert one.resting()
        assert other.resting() is None


async def test_a_next_hop_of_ours_is_a_site_of_its_own() -> None:
    async with Destinations(manners(), LIMITS, open_shaping()) as known:
        ours = known.of(_plan("smtp.google.com:587", "smtp.google.com", route=True))

        assert ours.site.name == "smtp.google.com:587"
        assert ours.site.shape.name == "google"


async def test_what_is_unused_is_forgotten_and_what_rests_is_not(clock: Clock) -> None:
    async with Destinations(manners(), LIMITS, hall=Hall(clock=clock)) as known:
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
    async with Destinations(manners(), LIMITS, hall=Hall(clock=clock)) as known:
        for n in range(20):
            known.get(f"d{n}.test")
        clock.now += 1
        known.sweep()

        assert len(known._table) == 0
