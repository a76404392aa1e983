"""Several copies of one envelope, in one process and in two: one is worked on, one chain remains."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from delivery_remote.delivery import CLAIMED_WAIT, Delivery
from posthouse.bus.moves import Ack, Move, Wait
from posthouse.mail.envelope import Remote
from posthouse.storage.ledger import Claims
from posthouse.storage.pool import Pool
from support.remote import Station
from support.remote_service import come_true
from support.roads import until

pytestmark = pytest.mark.integration

GREYLISTED = "450 4.2.0 greylisted"
HOUR = timedelta(hours=1)


@pytest.fixture
async def second(station: Station, pool: Pool) -> AsyncIterator[Delivery]:
    """Another process: its claims are its own."""
    async with Claims(pool) as claims:
        yield Delivery(replace(station.parts, claims=claims))


def _again(move: Move) -> Remote:
    assert isinstance(move, Wait)
    assert isinstance(move.envelope, Remote)
    return move.envelope


@pytest.mark.parametrize("where", ["same process", "other process"])
async def test_while_one_copy_is_under_way_another_is_not_sent(
    station: Station, second: Delivery, where: str
) -> None:
    peer = await station.server()
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test")
    go_on = asyncio.Event()
    peer.before["."] = go_on.wait
    first = asyncio.create_task(station.delivery.deliver(envelope))
    await until(lambda: "DATA" in peer.commands, "the first is under way")
    other = second if where == "other process" else station.delivery

    assert await other.deliver(envelope) == Wait(CLAIMED_WAIT, envelope)
    go_on.set()
    assert await first == Ack()
    await _given_back(station, envelope, other)
    assert len(peer.accepted) == 1
    assert peer.connections == 1


async def _given_back(station: Station, envelope: Remote, delivery: Delivery) -> None:
    """Return when the copy is dropped: what is given back goes with the next turn."""

    async def is_dropped() -> bool:
        return await delivery.deliver(envelope) == Ack()

    await come_true(is_dropped, within=5.0)
    assert await station.states(envelope.id) == {0: "relayed"}


async def test_copies_in_two_processes_tell_the_sender_once(
    station: Station, second: Delivery
) -> None:
    peer = await station.server(RCPT="550 5.1.1 unknown")
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test")

    moves = await asyncio.gather(
        *(delivery.deliver(envelope) for delivery in (station.delivery, second) * 3)
    )

    assert Ack() in moves
    assert set(moves) <= {Ack(), Wait(CLAIMED_WAIT, envelope)}
    assert len(await station.reports_on(envelope.id)) == 1
    assert [c for c in peer.commands if c.startswith("RCPT")] == ["RCPT TO:<bert@b.test>"]


async def test_two_chains_of_retries_become_one(station: Station) -> None:
    peer = await station.server(RCPT=GREYLISTED)
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test")
    current = _again(await station.delivery.deliver(envelope))
    old = _again(await station.delivery.deliver(envelope))  # the broker had it twice
    assert (current.attempts, old.attempts) == (1, 0)

    await station.time_passes(10 * timedelta(seconds=1))
    assert _again(await station.delivery.deliver(current)).attempts == 2

    assert await station.delivery.deliver(old) == Ack()
    assert len([c for c in peer.commands if c.startswith("RCPT")]) == 2


async def test_two_equal_copies_on_the_wait_queue_become_one(station: Station) -> None:
    peer = await station.server(RCPT=GREYLISTED)
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test")
    waiting = _again(await station.delivery.deliver(envelope))
    rebuilt = waiting  # the broker was rebuilt beside one that lives
    await station.time_passes(HOUR)

    current = _again(await station.delivery.deliver(waiting))
    old = _again(await station.delivery.deliver(rebuilt))
    assert (current.attempts, old.attempts) == (2, 1)
    await station.time_passes(HOUR / 100)  # the second delay is 30 s: both are due, one is old
    _again(await station.delivery.deliver(current))

    assert await station.delivery.deliver(old) == Ack()
    assert len([c for c in peer.commands if c.startswith("RCPT")]) == 3


async def test_a_crash_between_a_deferral_and_its_wait_loses_nothing(station: Station) -> None:
    peer = await station.server(RCPT=[GREYLISTED, GREYLISTED, "250 ok"])
    station.domain("b.test", peer.host)
    copy = await station.accept("bert@b.test")

    for _ in range(2):
        await station.delivery.deliver(copy)  # its wait is never published: the process died
        waiting = await station.delivery.deliver(copy)
        assert waiting == Wait(waiting.delay, copy) if isinstance(waiting, Wait) else False
        await station.time_passes(HOUR)
        copy = _again(await station.delivery.deliver(copy))  # current now, on the broker too

    assert copy.attempts == 2
    assert await station.delivery.deliver(copy) == Ack()
    assert await station.states(copy.id) == {0: "relayed"}


async def test_what_was_put_on_the_road_too_early_waits(station: Station) -> None:
    peer = await station.server(RCPT=[GREYLISTED, "250 ok"])
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test")
    waiting = _again(await station.delivery.deliver(envelope))
    await station.time_passes(-HOUR)

    early = await station.delivery.deliver(waiting)

    assert _again(early) == waiting
    assert isinstance(early, Wait)
    assert early.delay == HOUR  # the wait that fits nearly
    await station.time_passes(HOUR)
    assert await station.delivery.deliver(waiting) == Ack()


async def test_a_warning_that_the_ledger_refused_is_not_published(station: Station) -> None:
    station.domain("b.test", "127.0.0.200")
    envelope = await station.accept("bert@b.test", age=timedelta(hours=5))
    first = _again(await station.delivery.deliver(envelope))
    await station.pool.execute("update recipients set warned = true")
    await station.time_passes(HOUR)
    await station.delivery.deliver(msgspec.structs.replace(first, warned=False))
    await station.parts.books.outbox.__aexit__(None, None, None)  # what it has is sent first

    assert len(station.post.sent) == 1
