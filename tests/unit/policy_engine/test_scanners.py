"""Scanners without any: addresses, rests, scores, settings."""

from __future__ import annotations

import asyncio
import errno
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policy_engine.scanners.addresses import Address, parse_addresses
from policy_engine.scanners.scores import MAX_RULES, findings_of
from policy_engine.scanners.stations import Probe, Stations, Terms
from policy_engine.scanners.trouble import Broken
from policy_engine.settings import PolicySettings
from posthouse.mail.errors import Unavailable

HERE, THERE = Address(host="a.test", port=3310), Address(host="b.test", port=3310)
NEEDED = {
    "database_url": "postgresql://u:p@h/d",
    "broker_url": "amqp://u:p@h/v",
    "store": "disk:/nowhere",
    "hostname": "mx.example.test",
}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Asked:
    """Answers by its address, except from those that are gone."""

    def __init__(self) -> None:
        self.gone: dict[Address, Exception] = {}
        self.log: list[Address] = []

    async def __call__(self, address: Address) -> str:
        self.log.append(address)
        if address in self.gone:
            raise self.gone[address]
        return str(address)


async def _gone(_address: Address) -> None:
    raise ConnectionRefusedError


def _stations(clock: Clock, *addresses: Address, probe: Probe = _gone) -> Stations:
    return Stations("clamd", addresses, Terms(seconds=5, at_once=2), probe, clock)


def test_addresses_are_hosts_with_ports_or_sockets() -> None:
    found = parse_addresses("a.test:3310, [2001:db8::1]:783 ,/run/clamd.ctl,")

    assert found == (
        Address(host="a.test", port=3310),
        Address(host="2001:db8::1", port=783),
        Address(path="/run/clamd.ctl"),
    )
    assert ",".join(map(str, found)) == "a.test:3310,[2001:db8::1]:783,/run/clamd.ctl"


@pytest.mark.parametrize(
    "text", ["a.test", "a.test:0", "a.test:65536", ":1", "a b:1", "::1:1", "run/x"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        parse_addresses(text)


async def test_addresses_are_asked_in_turn() -> None:
    asked, stations = Asked(), _stations(Clock(), HERE, THERE)

    for _ in range(4):
        await stations.ask(asked)

    assert sorted(asked.log.count(each) for each in (HERE, THERE)) == [2, 2]


@pytest.mark.parametrize(
    "trouble", [ConnectionRefusedError(), TimeoutError(), EOFError(), Broken("x")]
)
async def test_one_that_fails_is_stepped_over_and_rests(trouble: Exception) -> None:
    clock, asked = Clock(), Asked()
    asked.gone[HERE] = trouble
    stations = _stations(clock, HERE, THERE)

    answers = [await stations.ask(asked) for _ in range(6)]

    assert answers == [str(THERE)] * 6
    assert asked.log.count(HERE) == 1
    assert stations.trouble() is None


async def test_rests_grow_to_a_minute_and_end_with_an_answer() -> None:
    clock, asked = Clock(), Asked()
    asked.gone[HERE] = ConnectionRefusedError()
    stations = _stations(clock, HERE)
    rests = []

    for _ in range(8):
        with pytest.raises(Unavailable):
            await stations.ask(asked)
        began, tried = clock.now, len(asked.log)
        while len(asked.log) == tried:
            clock.now += 0.5
            with pytest.raises(Unavailable):
                await stations.ask(asked)
        rests.append(clock.now - began)
    told = stations.trouble()
    asked.gone.clear()
    clock.now += 60

    assert rests[-1] == 60
    assert rests == sorted(rests)
    assert told == "no answer from a.test:3310"
    assert await stations.ask(asked) == str(HERE)
    assert stations.trouble() is None


async def test_while_all_rest_nobody_is_asked() -> None:
    asked, stations = Asked(), _stations(Clock(), HERE, THERE)
    asked.gone = {HERE: EOFError(), THERE: EOFError()}

    for _ in range(100):
        with pytest.raises(Unavailable):
            await stations.ask(asked)

    assert len(asked.log) == 2


async def test_after_a_rest_one_message_tries_and_the_others_do_not_wait_for_it() -> None:
    clock, asked = Clock(), Asked()
    asked.gone[HERE] = EOFError()
    stations = _stations(clock, HERE)
    with pytest.raises(Unavailable):
        await stations.ask(asked)
    clock.now += 1
    answered = asyncio.Event()

    async def slow(address: Address) -> str:
        await answered.wait()
        return str(address)

    async with asyncio.TaskGroup() as group:
        first = group.create_task(stations.ask(slow))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await stations.ask(slow)
        answered.set()

    assert first.result() == str(HERE)


@pytest.mark.parametrize(
    ("trouble", "is_back"),
    [
        (ConnectionRefusedError(), True),
        (EOFError(), True),
        (TimeoutError(), False),
        (Broken("x"), False),
    ],
)
async def test_the_watch_wakes_who_was_gone_and_lets_who_did_not_work_rest(
    trouble: Exception, monkeypatch: pytest.MonkeyPatch, *, is_back: bool
) -> None:
    monkeypatch.setattr("policy_engine.scanners.stations.WATCH_SECONDS", 0)
    clock, asked, looks = Clock(), Asked(), 0
    asked.gone[HERE] = trouble
    seen = asyncio.Event()
    is_up = False

    async def probe(_address: Address) -> None:
        nonlocal looks
        if not is_up:
            raise ConnectionRefusedError
        looks += 1
        if looks == 2:
            seen.set()

    stations = _stations(clock, HERE, probe=probe)
    with pytest.raises(Unavailable):
        await stations.ask(asked)
    is_up = True

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(stations.watch())
        await seen.wait()
        at_once = stations.trouble() is None
        clock.now += 1
        seen.clear()
        looks = 0
        await seen.wait()
        after_its_rest = stations.trouble() is None
        watching.cancel()

    assert at_once is is_back
    assert after_its_rest


async def test_who_hangs_up_on_one_message_is_asked_about_the_next() -> None:
    async def probe(_address: Address) -> None: ...

    asked, stations = Asked(), _stations(Clock(), HERE, THERE, probe=probe)
    asked.gone[HERE] = ConnectionResetError(errno.ECONNRESET, "reset")
    asked.gone[THERE] = EOFError()

    for _ in range(3):
        with pytest.raises(Unavailable):
            await stations.ask(asked)

    assert len(asked.log) == 6


async def test_who_waits_for_a_turn_does_not_wait_when_all_rest() -> None:
    clock, asked = Clock(), Asked()
    asked.gone[HERE] = EOFError()
    stations, never = _stations(clock, HERE), asyncio.Event()

    async def hangs(_address: Address) -> None:
        await never.wait()

    async with asyncio.TaskGroup() as group:
        hanging = [group.create_task(stations.ask(hangs)) for _ in range(2)]
        await asyncio.sleep(0)
        stations._all[0].failed("gone", was_there=False)
        with pytest.raises(Unavailable):
            await stations.ask(asked)
        for task in hanging:
            task.cancel()

    assert not asked.log


async def test_what_is_not_the_scanners_fault_costs_it_nothing() -> None:
    asked, stations = Asked(), _stations(Clock(), HERE)
    asked.gone[HERE] = Unavailable("the store is away")

    for _ in range(3):
        with pytest.raises(Unavailable, match="the store"):
            await stations.ask(asked)

    assert len(asked.log) == 3


async def test_no_more_messages_than_agreed_are_asked_about_at_once() -> None:
    stations, running, most = _stations(Clock(), HERE), 0, 0

    async def question(_address: Address) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(stations.ask(question))

    assert most == 2


names = st.text(max_size=100)
points = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-50, 50)


@given(st.lists(st.tuples(names, points), max_size=130), st.floats(-1000, 1000))
def test_findings_are_few_well_named_and_finite(
    rules: list[tuple[str, float]], total: float
) -> None:
    found = findings_of("spamd", total, rules, 1)

    assert 1 <= len(found) <= MAX_RULES + 1
    assert all(math.isfinite(each.score) for each in found)
    assert all(each.rule.isascii() and each.rule.replace("_", "x").isalnum() for each in found)


@given(st.lists(st.tuples(st.just("R"), st.floats(-50, 50)), max_size=130), st.floats(-1000, 1000))
def test_they_come_to_what_the_scanner_said(rules: list[tuple[str, float]], total: float) -> None:
    found = findings_of("spamd", total, rules, 1)

    assert sum(each.score for each in found) == pytest.approx(total, abs=0.06 * (len(found) + 1))


def test_weights_multiply_all_scores() -> None:
    found = findings_of("rspamd", 5.0, [("A", 3.0)], 0.5)

    assert [(each.rule, each.score) for each in found] == [("RSPAMD_A", 1.5), ("RSPAMD", 1.0)]


def test_a_scanner_must_leave_time_for_the_next_one() -> None:
    with pytest.raises(ValidationError, match="POSTHOUSE_SPAMD_SECONDS: must be less"):
        PolicySettings(**NEEDED, spamd="a.test:783", spamd_seconds=10)  # type: ignore[arg-type]


def test_what_is_no_address_is_no_setting() -> None:
    with pytest.raises(ValidationError, match="must look like host:port"):
        PolicySettings(**NEEDED, clamd="a.test")  # type: ignore[arg-type]
