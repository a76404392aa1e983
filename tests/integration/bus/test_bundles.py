"""Messages that carry several envelopes: one bad envelope does not spoil its neighbours."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from posthouse.bus.connection import Broker
from posthouse.bus.publisher import Parcel, Publisher
from posthouse.bus.topology import LOCAL, dead_queue
from posthouse.bus.undertaking import Burial, undertake
from posthouse.bus.wire import bundled, encode
from posthouse.telemetry.probes import Probes
from support.roads import Desk, Management, consuming, local, until, until_ready

pytestmark = pytest.mark.integration

DEAD = dead_queue(LOCAL)


async def test_a_bundle_that_comes_again_is_taken_apart(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    await publisher.send(LOCAL, [local(n) for n in range(7)])
    channel = await broker.consuming.channel(confirms=False)
    queue = await channel.declare_queue(LOCAL, passive=True)
    message = await queue.get()
    assert message is not None
    await message.reject(requeue=True)  # as when its consumer was killed
    desk = Desk()

    async with consuming(broker, desk, batch=3):
        await until(lambda: len(desk.seen) == 7, "all had come")

    assert sorted(desk.seen) == list(range(7))
    assert await management.letters(LOCAL) == []


async def test_an_unreadable_line_is_buried_and_its_neighbours_go_on(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    body = b"\n".join((encode(local(0)), b"no envelope", encode(local(2))))
    await publisher.dispatch([Parcel.on_road(LOCAL, body)])
    desk = Desk()

    async with consuming(broker, desk):
        await until(lambda: len(desk.seen) == 2, "both had come")
        await until_ready(management, DEAD, 1)

    assert desk.seen == [0, 2]
    (letter,) = await management.letters(DEAD)
    assert letter["payload"] == "no envelope"


async def test_a_bundle_that_the_broker_parked_is_filed_one_by_one(
    broker: Broker, publisher: Publisher
) -> None:
    (body,) = bundled(LOCAL, [local(n) for n in range(3)])
    await publisher.dispatch([Parcel(exchange="dead", key=DEAD, body=body)])
    found: list[Burial] = []

    async def file(burials: object) -> None:
        assert isinstance(burials, list)
        found.extend(burials)

    beat = Probes().progress(DEAD)
    task = asyncio.create_task(undertake(broker, DEAD, file, beat=beat))
    try:
        await until(lambda: len(found) == 3, "all were filed")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert [burial.envelope.recipients[0].n for burial in found if burial.envelope] == [0, 1, 2]
    assert datetime.now(UTC) - found[0].obituary.last_failed < timedelta(minutes=1)
