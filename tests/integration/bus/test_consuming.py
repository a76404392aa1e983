"""Consuming from a real broker: what is done with each envelope."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest

from posthouse.bus import moves
from posthouse.bus.connection import Broker
from posthouse.bus.consumer import Ack, Bury, Move, Wait, consume
from posthouse.bus.publisher import Parcel, Publisher
from posthouse.bus.topology import LOCAL
from posthouse.bus.wire import BUNDLE_MAX
from posthouse.mail.envelope import Inbound, InboundRecipient, Local
from posthouse.mail.errors import MissingObject, Unavailable
from posthouse.mail.ids import new_id
from posthouse.telemetry.probes import Probes
from support.roads import (
    Desk,
    Management,
    consuming,
    envelope_in,
    local,
    until,
)

pytestmark = pytest.mark.integration

DEAD = "mail.local.dead"


async def test_envelopes_come_in_order_in_batches_and_are_acknowledged(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    desk = Desk()

    async def work(envelopes: Sequence[Local]) -> Sequence[Move]:
        await asyncio.sleep(0.02)  # a commit; the next batch gathers meanwhile
        return [Ack() for _ in envelopes]

    desk.answer = work
    await publisher.send(LOCAL, [local(n) for n in range(300)])

    async with consuming(broker, desk, batch=50):
        await until(lambda: len(desk.seen) == 300, "all had come")

    assert desk.seen == list(range(300))
    assert 50 - BUNDLE_MAX < max(map(len, desk.calls)) <= 50
    assert await management.letters(LOCAL) == []


async def test_as_many_calls_run_at_once_as_allowed_and_no_more(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    desk, gate = Desk(), asyncio.Event()
    running, most = 0, 0

    async def slowly(envelopes: Sequence[Local]) -> Sequence[Move]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        return [Ack() for _ in envelopes]

    desk.answer = slowly
    for n in range(40):
        await publisher.send(LOCAL, [local(n)])

    async with consuming(broker, desk, batch=2, concurrency=4):
        await until(lambda: running == 4, "four calls ran")
        gate.set()
        await until(lambda: len(desk.seen) == 40, "all had come")

    assert most == 4
    assert await management.letters(LOCAL) == []


async def test_moves_are_carried_out_before_the_acknowledgement(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    desk = Desk()
    warned = msgspec.structs.replace(local(2), attempts=1)

    async def decide(envelopes: Sequence[Local]) -> Sequence[Move]:
        moves: dict[int, Move] = {
            0: Ack(),
            1: Wait(timedelta(seconds=5)),
            2: Wait(timedelta(minutes=1), warned),
            3: Bury("no human would believe it"),
        }
        return [moves[envelope.recipients[0].n] for envelope in envelopes]

    desk.answer = decide
    await publisher.send(LOCAL, [local(n) for n in range(4)])

    async with consuming(broker, desk, batch=4):
        await until(lambda: len(desk.seen) >= 4, "all had come")

    assert [envelope_in(one).recipients[0].n for one in await management.letters("wait.5s")] == [1]
    assert [envelope_in(one) for one in await management.letters("wait.1m")] == [warned]
    (dead,) = await management.letters(DEAD)
    assert dead["properties"]["headers"]["posthouse-reason"] == "no human would believe it"
    assert await management.letters(LOCAL) == []


async def test_a_poisonous_envelope_does_not_spoil_its_neighbours(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    desk = Desk()

    async def choke(envelopes: Sequence[Local]) -> Sequence[Move]:
        if any(envelope.recipients[0].n == 3 for envelope in envelopes):
            raise RuntimeError("the third is poison")
        return [Ack() for _ in envelopes]

    desk.answer = choke
    await publisher.send(LOCAL, [local(n) for n in range(6)])

    async with consuming(broker, desk, batch=6):
        await until(lambda: desk.seen.count(5) == 2, "each was tried alone")

    assert await management.letters(LOCAL) == []
    (waiting,) = await management.letters("wait.5s")
    assert envelope_in(waiting).recipients[0].n == 3
    assert waiting["properties"]["headers"]["posthouse-failures"] == 1


async def test_a_bug_is_waited_out_and_then_buried_with_its_history(
    broker: Broker,
    publisher: Publisher,
    management: Management,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(moves, "BUG_WAITS", (timedelta(seconds=5),))
    desk = Desk()

    async def always(envelopes: Sequence[Local]) -> Sequence[Move]:
        raise RuntimeError(f"a bug of ours in {envelopes[0].id}")

    desk.answer = always
    await publisher.send(LOCAL, [local()])

    async with consuming(broker, desk):
        await until(lambda: len(desk.seen) == 2, "it had come twice")

    (dead,) = await management.letters(DEAD)
    headers = dead["properties"]["headers"]
    assert headers["posthouse-failures"] == 2
    assert headers["posthouse-first-failed"] < headers["posthouse-last-failed"]
    assert headers["posthouse-reason"].startswith("RuntimeError: a bug of ours")
    assert headers["posthouse-service"] == "test"
    assert len(headers["posthouse-fingerprint"]) == 16


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff\xfe", "unreadable envelope"),
        (b'{"type":"local"}', "unreadable envelope"),
        (b'{"type":"of the future","id":1}', "unreadable envelope"),
    ],
)
async def test_what_cannot_be_read_is_buried_at_once(
    broker: Broker, publisher: Publisher, management: Management, body: bytes, reason: str
) -> None:
    desk = Desk()
    await publisher.dispatch([Parcel.on_road(LOCAL, body)])
    await publisher.send(LOCAL, [local(1)])

    async with consuming(broker, desk, batch=2):
        await until(lambda: len(desk.seen) == 1, "its neighbour had come")

    (dead,) = await management.letters(DEAD)
    assert reason in dead["properties"]["headers"]["posthouse-reason"]
    assert await management.letters(LOCAL) == []


async def test_an_envelope_on_the_wrong_road_is_buried(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    strayed = Inbound(
        id=new_id(),
        sender="",
        size=1,
        recipients=(InboundRecipient(n=1, address="anna@example.test"),),
    )
    desk = Desk()
    await publisher.send(LOCAL, [strayed, local(1)])

    async with consuming(broker, desk):
        await until(lambda: len(desk.seen) == 1, "its neighbour had come")

    assert len(await management.letters(DEAD)) == 1


async def test_a_missing_object_is_buried_at_once(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    desk = Desk()

    async def miss(_envelopes: Sequence[Local]) -> Sequence[Move]:
        raise MissingObject("the message is gone", detail="no object mail/x.eml")

    desk.answer = miss
    await publisher.send(LOCAL, [local()])

    async with consuming(broker, desk):
        await until(lambda: len(desk.seen) == 1, "it had come")

    (dead,) = await management.letters(DEAD)
    assert dead["properties"]["headers"]["posthouse-reason"] == "no object mail/x.eml"
    assert dead["properties"]["headers"]["posthouse-failures"] == 1


async def test_a_handler_that_forgets_an_envelope_has_a_bug(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    desk = Desk()

    async def forget(_envelopes: Sequence[Local]) -> Sequence[Move]:
        return []

    desk.answer = forget
    await publisher.send(LOCAL, [local()])

    async with consuming(broker, desk):
        await until(lambda: len(desk.seen) == 1, "it had come")

    (waiting,) = await management.letters("wait.5s")
    assert waiting["properties"]["headers"]["posthouse-failures"] == 1


async def test_unavailable_holds_the_work_and_counts_no_attempt(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    desk, probes, away = Desk(), Probes(), True

    async def try_it(envelopes: Sequence[Local]) -> Sequence[Move]:
        if away:
            raise Unavailable("we are not well", detail="PostgreSQL is away")
        return [Ack() for _ in envelopes]

    desk.answer = try_it
    await publisher.send(LOCAL, [local(n) for n in range(3)])
    beat = probes.progress(LOCAL)
    task = asyncio.create_task(consume(broker, LOCAL, desk, beat=beat, batch=3))
    await until(lambda: len(desk.calls) >= 3, "it was tried again and again")

    held = probes.troubles()
    away = False
    await until(lambda: probes.troubles() == [], "it was ready again")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert held == ["mail.local: work is held: PostgreSQL is away"]
    assert {len(call) for call in desk.calls} == {3}
    for queue in (LOCAL, DEAD, "wait.5s"):
        assert await management.letters(queue) == []
