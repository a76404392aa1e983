"""A destination that was away: who waits for it, how long, and what the ledger says of that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from msgspec import structs

from delivery_remote.delivery import Delivery
from delivery_remote.destinations import Destinations
from delivery_remote.next_hop import Limits
from delivery_remote.pace import Hall
from delivery_remote.ways import finding
from posthouse.bus.moves import Ack, Move, Wait
from posthouse.mail.envelope import Remote
from posthouse.mail.hops import parse_hop
from posthouse.storage import ledger
from posthouse.storage.directory import Route, set_route
from posthouse.storage.pool import Pool, Row
from posthouse.storage.trace import timeline
from support.outside import MESSAGE, manners
from support.outside_world import OutsideWorld
from support.remote import SECONDS, Station
from support.remote_service import Office, come_true, open_office

pytestmark = pytest.mark.integration

REST = 30 * SECONDS


@dataclass
class Clock:
    """A clock that a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def delivery(station: Station, clock: Clock) -> AsyncIterator[Delivery]:
    """One whose destinations rest by ``clock``."""
    async with Destinations(manners(), Limits(rest=REST), hall=Hall(clock=clock)) as destinations:
        yield Delivery(replace(station.parts, destinations=destinations))


@pytest.fixture
async def office(
    pool: Pool, postgres_url: str, broker_url: str, tmp_path: Path, world: OutsideWorld
) -> AsyncIterator[Office]:
    settings = {**world.settings, "POSTHOUSE_RETRY_DELAYS": "30s,5s"}  # it rests for four seconds
    async with open_office(pool, postgres_url, broker_url, tmp_path, settings) as opened:
        yield opened


async def _row(pool: Pool, ident: UUID) -> Row:
    row = await pool.fetchrow("select * from recipients where envelope = $1", ident)
    assert row is not None
    return row


def _again(move: Move) -> Remote:
    assert isinstance(move, Wait)
    assert isinstance(move.envelope, Remote)
    return move.envelope


async def _is_done(delivery: Delivery, envelope: Remote) -> bool:
    """False for a copy put aside: the site is back, and `returns` looks at its mail."""
    return await delivery.deliver(envelope) == Ack()


async def test_mail_that_meets_a_rest_was_not_tried_and_goes_when_it_is_over(
    station: Station, delivery: Delivery, clock: Clock
) -> None:
    station.domain("b.test", "127.0.0.2")  # nobody listens there yet
    await delivery.deliver(await station.accept("anna@b.test"))
    peer = await station.server()
    envelope = await station.accept("bert@b.test")

    move = await delivery.deliver(envelope)

    assert move == Wait(REST, envelope)
    row = await _row(station.pool, envelope.id)
    assert (row["state"], row["attempts"]) == ("deferred", 0)
    assert row["reply"].startswith("not tried: mx0.b.test rests until ")
    assert row["reply"].endswith(" after: Connection refused")
    assert peer.connections == 0
    clock.now += REST.total_seconds()
    await station.time_passes(REST)
    assert await delivery.deliver(envelope) == Ack()
    assert len(peer.accepted) == 1


async def test_a_destination_that_asks_for_its_mail_gets_it_whatever_its_rest(
    station: Station, delivery: Delivery, clock: Clock
) -> None:
    station.domain("b.test", "127.0.0.2")
    tried = await station.accept("anna@b.test")
    put_off = await station.accept("bert@b.test")
    for envelope in (tried, put_off):
        await delivery.deliver(envelope)
    peer = await station.server()

    clock.now += 20  # it rests still
    released: list[Remote] = []

    async def is_released() -> bool:  # what is delivered at this moment is left alone
        released.extend(await ledger.release(station.pool, "b.test", below=False, limit=10))
        return len(released) == 2

    await come_true(is_released, within=5.0)
    asked_for = [structs.replace(each, on_request=True) for each in released]

    assert {each.id for each in released} == {tried.id, put_off.id}
    for envelope in (*asked_for, put_off):  # with the copy that had waited
        await come_true(partial(_is_done, delivery, envelope), within=5.0)
    assert len(peer.accepted) == 2


async def test_the_trace_says_that_nobody_was_asked(station: Station, delivery: Delivery) -> None:
    station.domain("b.test", "127.0.0.200")
    await delivery.deliver(await station.accept("anna@b.test"))
    envelope = await station.accept("bert@b.test")
    await delivery.deliver(envelope)
    await station.parts.books.trace.__aexit__(None, None, None)  # what it has is written first

    told = await timeline(station.pool, envelope.id)

    assert told is not None
    (detail,) = (event.detail for event in told.events if event.what == "deferred")
    assert detail.startswith("we: not tried: mx0.b.test rests until ")


async def test_after_a_rest_one_mail_asks_and_who_waited_for_it_is_not_tried(
    station: Station, delivery: Delivery, clock: Clock
) -> None:
    station.domain("b.test", "127.0.0.200")
    await delivery.deliver(await station.accept("anna@b.test"))
    clock.now += REST.total_seconds()
    envelopes = [await station.accept(f"u{n}@b.test") for n in range(10)]

    moves = await asyncio.gather(*map(delivery.deliver, envelopes))

    assert sorted(_again(move).attempts for move in moves) == [0] * 9 + [1]


async def test_copies_of_what_was_put_off_become_one_by_the_next_attempt(
    station: Station, delivery: Delivery, clock: Clock
) -> None:
    station.domain("b.test", "127.0.0.200")
    await delivery.deliver(await station.accept("anna@b.test"))
    one = other = await station.accept("bert@b.test")
    for _ in range(3):  # the broker has it twice; both are put off, or wait for the other's time
        one = _again(await delivery.deliver(one))
        other = _again(await delivery.deliver(other))
        await station.time_passes(REST)
    assert one == other

    for _ in range(2):
        clock.now += 300
        one = _again(await delivery.deliver(one))
        await station.time_passes(timedelta(minutes=1))

    assert one.attempts == 2
    assert await delivery.deliver(other) == Ack()


async def test_a_corrected_route_ends_the_rest(
    station: Station, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "TABLE_FRESH", timedelta())
    peer = await station.server()
    right = Route(domain="b.test", hops=(parse_hop(f"{peer.host}:{station.port}"),))
    await set_route(station.pool, replace(right, username="anna", password="secret"))  # noqa: S106
    await delivery.deliver(await station.accept("anna@b.test"))  # the server knows no logins
    envelope = await station.accept("bert@b.test")
    assert _again(await delivery.deliver(envelope)).attempts == 0

    await set_route(station.pool, right)
    await station.time_passes(REST)

    assert await delivery.deliver(envelope) == Ack()


async def test_a_server_that_came_back_gets_all_its_mail_within_the_rest(
    office: Office, world: OutsideWorld
) -> None:
    sink = world.server()
    world.domain("b.test", sink)
    await office.start()
    (first,) = await office.post("b.test", 1, MESSAGE)
    await office.await_state("deferred", 1)
    sink.start()

    (second,) = await office.post("b.test", 1, MESSAGE)

    await office.all_settled(within=20)

    assert await office.states() == {"relayed": 2}
    assert (await _row(office.pool, second.id))["attempts"] == 1
    assert (await _row(office.pool, first.id))["attempts"] == 2
