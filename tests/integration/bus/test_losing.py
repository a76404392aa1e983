"""Losing the broker, the connection, the queue, the time: nothing is lost or done twice."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import pytest
from aio_pika.abc import AbstractIncomingMessage

from posthouse.bus import feeding
from posthouse.bus.connection import Broker
from posthouse.bus.consumer import Ack, Move
from posthouse.bus.publisher import Parcel, Publisher
from posthouse.bus.topology import DELIVERY_LIMIT, LOCAL
from posthouse.mail.envelope import Local
from posthouse.mail.errors import Unavailable
from support.roads import (
    Desk,
    Management,
    consuming,
    envelope_in,
    local,
    send_patiently,
    until,
    until_ready,
)

pytestmark = pytest.mark.integration

DEAD = "mail.local.dead"


async def test_held_work_goes_back_when_the_service_stops(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    desk = Desk()

    async def never(_envelopes: Sequence[Local]) -> Sequence[Move]:
        raise Unavailable("we are not well")

    desk.answer = never
    await publisher.send(LOCAL, [local()])

    async with consuming(broker, desk):
        await until(lambda: len(desk.calls) >= 2, "it was held")

    await until_ready(management, LOCAL, 1)


async def test_a_lost_connection_does_not_stop_the_work_nor_do_it_twice(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    desk, gate = Desk(), asyncio.Event()
    finished: list[int] = []

    async def slowly(envelopes: Sequence[Local]) -> Sequence[Move]:
        if not finished:
            await gate.wait()
        finished.extend(envelope.recipients[0].n for envelope in envelopes)
        return [Ack() for _ in envelopes]

    desk.answer = slowly
    await publisher.send(LOCAL, [local(n) for n in range(4)])

    async with consuming(broker, desk, batch=2):
        await until(lambda: len(desk.calls) == 1, "the work had begun")
        await management.close_connections("consuming")
        await until(lambda: not broker.consuming.is_up, "the connection was lost")
        await until(lambda: broker.consuming.is_up, "the connection was back")
        await publisher.send(LOCAL, [local(4)])
        gate.set()
        await until(lambda: 4 in finished, "the consumer was back at work")

    assert finished == [0, 1, 2, 3, 4]
    assert await management.letters(LOCAL) == []


async def test_a_late_acknowledgement_is_made_good_at_the_redelivery(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    desk, gate = Desk(), asyncio.Event()

    async def slowly(envelopes: Sequence[Local]) -> Sequence[Move]:
        await gate.wait()
        return [Ack() for _ in envelopes]

    desk.answer = slowly
    await publisher.send(LOCAL, [local(0)])

    async with consuming(broker, desk):
        await until(lambda: len(desk.calls) == 1, "the work had begun")
        await management.close_connections("consuming")
        await until(lambda: not broker.consuming.is_up, "the connection was lost")
        gate.set()  # the work ends while nobody can be told
        await publisher.send(LOCAL, [local(1)])
        await until(lambda: 1 in desk.seen, "the next one had come")

    assert desk.seen == [0, 1]
    assert await management.letters(LOCAL) == []


async def test_a_deleted_queue_is_declared_again_and_served(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    desk = Desk()

    async with consuming(broker, desk):
        await publisher.send(LOCAL, [local(1)])
        await until(lambda: desk.seen == [1], "the first had come")
        await management.delete_queue(LOCAL)
        await send_patiently(publisher, local(2))
        await until(lambda: desk.seen == [1, 2], "the second had come")


async def test_a_consumer_that_the_broker_has_forgotten_is_made_anew(
    broker: Broker,
    publisher: Publisher,
    management: Management,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeding, "WATCH_SECONDS", 0.5)
    monkeypatch.setattr(feeding, "RENEWAL", 3)
    desk = Desk()

    async with consuming(broker, desk):
        await publisher.send(LOCAL, [local(1)])
        await until(lambda: desk.seen == [1], "the first had come")
        await management.delete_queue(LOCAL)
        await broker.declare()  # within the same moment: the trap that `Broker.mend` avoids
        await publisher.send(LOCAL, [local(2)])
        await until(lambda: desk.seen == [1, 2], "the second had come")


async def test_stopping_finishes_what_runs_and_leaves_the_rest(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    desk, gate = Desk(), asyncio.Event()

    async def slowly(envelopes: Sequence[Local]) -> Sequence[Move]:
        await gate.wait()
        return [Ack() for _ in envelopes]

    desk.answer = slowly
    for n in range(5):
        await publisher.send(LOCAL, [local(n)])

    async with consuming(broker, desk, concurrency=2) as task:
        await until(lambda: len(desk.calls) == 2, "two were at work")
        task.cancel()
        asyncio.get_running_loop().call_later(0.2, gate.set)

    assert desk.seen == [0, 1]
    await until_ready(management, LOCAL, 3)


async def test_work_that_exceeds_the_grace_period_is_left_to_redelivery(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    desk = Desk()
    broker.grace = timedelta(milliseconds=100)

    async def never(_envelopes: Sequence[Local]) -> Sequence[Move]:
        await asyncio.Event().wait()
        raise AssertionError

    desk.answer = never
    await publisher.send(LOCAL, [local()])

    async with consuming(broker, desk):
        await until(lambda: len(desk.calls) == 1, "it was at work")

    await until_ready(management, LOCAL, 1)


async def test_a_shard_is_served_by_one_consumer_and_taken_over_by_the_next(
    broker: Broker, publisher: Publisher
) -> None:
    channel = await broker.consuming.channel(confirms=False)
    queue = await channel.declare_queue("mail.remote.0", passive=True)
    heard: list[str] = []

    async def hear(name: str, _message: object) -> None:
        heard.append(name)

    first = await queue.consume(partial(hear, "first"), no_ack=True)
    await queue.consume(partial(hear, "second"), no_ack=True)

    await publisher.dispatch([Parcel.on_road("mail.remote.0", b"{}")] * 4)
    await until(lambda: len(heard) == 4, "all had come")
    await queue.cancel(first)
    await publisher.dispatch([Parcel.on_road("mail.remote.0", b"{}")])
    await until(lambda: len(heard) == 5, "the next one had come")

    assert heard == ["first"] * 4 + ["second"]


async def test_an_envelope_that_kills_every_consumer_is_parked_by_the_broker(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    envelope = local()
    await publisher.send(LOCAL, [envelope])
    channel = await broker.consuming.channel(confirms=False)
    queue = await channel.declare_queue(LOCAL, passive=True)
    deliveries = 0

    async def die(message: AbstractIncomingMessage) -> None:
        nonlocal deliveries
        deliveries += 1
        await message.nack(requeue=True)  # to the broker the same as a dead consumer

    await queue.consume(die)
    await until_ready(management, DEAD, 1)

    (dead,) = await management.letters(DEAD)
    assert deliveries == DELIVERY_LIMIT + 1
    assert envelope_in(dead) == envelope
    (death,) = dead["properties"]["headers"]["x-death"]
    assert (death["queue"], death["reason"]) == (LOCAL, "delivery_limit")
