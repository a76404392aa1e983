"""Publishing on a real broker: confirmed, or told in time."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from posthouse.bus.connection import Broker, connect
from posthouse.bus.events import subscribe
from posthouse.bus.obituary import Obituary
from posthouse.bus.publisher import Parcel, Publisher
from posthouse.bus.topology import LOCAL
from posthouse.bus.wire import BUNDLE_MAX, decode, unbundled
from posthouse.mail.envelope import MailboxChanged
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.probes import Probes
from support.roads import Management, local, send_patiently, until

pytestmark = pytest.mark.integration


async def test_what_was_sent_lies_on_its_road(publisher: Publisher, management: Management) -> None:
    envelopes = [local(n) for n in range(600)]  # more than one batch of confirms

    await publisher.send(LOCAL, envelopes)

    letters = await management.letters(LOCAL)
    lines = [line for letter in letters for line in unbundled(letter["payload"].encode())]
    assert [decode(line) for line in lines] == envelopes
    assert len(letters) == len(envelopes) / BUNDLE_MAX
    assert letters[0]["properties"]["delivery_mode"] == 2


async def test_a_batch_leaves_in_few_segments(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publisher.send(LOCAL, [local()])
    segments = 0
    write = asyncio.StreamWriter.write

    def count(writer: asyncio.StreamWriter, data: bytes) -> None:
        nonlocal segments
        segments += 1
        write(writer, data)

    monkeypatch.setattr(asyncio.StreamWriter, "write", count)
    await publisher.send(LOCAL, [local(n) for n in range(200)])

    assert segments < 20  # one per envelope, if aiormq no longer took our transport and its queue


async def test_an_unroutable_envelope_raises_and_the_road_is_mended(
    publisher: Publisher, management: Management
) -> None:
    await publisher.send(LOCAL, [local()])
    await management.delete_queue(LOCAL)

    with pytest.raises(Unavailable, match=r"mail\.local"):
        await publisher.send(LOCAL, [local(), local()])

    await send_patiently(publisher, local(3))
    assert len(await management.letters(LOCAL)) == 1


async def test_a_missing_exchange_closes_the_channel_and_the_next_publish_opens_another(
    publisher: Publisher, management: Management
) -> None:
    await publisher.send(LOCAL, [local()])
    await management.delete_exchange("roads")

    with pytest.raises(Unavailable):
        await publisher.send(LOCAL, [local() for _ in range(50)])

    await send_patiently(publisher, local())
    assert len(await management.letters(LOCAL)) == 2


async def test_a_full_queue_refuses_and_that_raises(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    await management.delete_queue("mail.local.dead")
    full = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
    await management.declare_queue("mail.local.dead", full)
    channel = await broker.publishing.channel(confirms=False)
    await (await channel.get_queue("mail.local.dead")).bind("dead", "mail.local.dead")
    parcel = Parcel(exchange="dead", key="mail.local.dead", body=b"{}")

    async def fill() -> None:
        # A quorum queue notices its own length a little late: it refuses soon, not at once.
        for _ in range(100):
            await publisher.dispatch([parcel] * 20)

    with pytest.raises(Unavailable, match="DeliveryError"):
        await fill()


async def test_without_a_broker_publishing_is_refused_within_seconds(probes: Probes) -> None:
    async with connect("amqp://guest:secret@127.0.0.1:1/", probes, "test") as broker:
        publisher = Publisher(broker)
        begun = time.monotonic()

        with pytest.raises(Unavailable):
            await publisher.send(LOCAL, [local()])

        assert time.monotonic() - begun < 5
        assert "secret" not in " ".join(probes.troubles())
        assert probes.troubles()
    assert probes.troubles() == []


async def test_a_lost_connection_comes_back_and_publishing_with_it(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    await publisher.send(LOCAL, [local(1)])

    await management.close_connections("publishing")
    await until(lambda: not broker.publishing.is_up, "the loss was noticed")
    await broker.wait_until_up()
    await publisher.send(LOCAL, [local(2)])

    assert len(await management.letters(LOCAL)) == 2


async def test_an_envelope_that_waits_returns_to_its_road(
    publisher: Publisher, management: Management
) -> None:
    envelope = local()
    begun = time.monotonic()

    await publisher.wait(timedelta(seconds=5), LOCAL, envelope)

    assert await management.letters(LOCAL) == []
    while not (letters := await management.letters(LOCAL)):
        assert time.monotonic() - begun < 20
        await asyncio.sleep(0.1)
    assert time.monotonic() - begun >= 4.5
    assert decode(letters[0]["payload"].encode(), LOCAL) == envelope


async def test_a_buried_letter_carries_its_obituary(
    publisher: Publisher, management: Management
) -> None:
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    obituary = Obituary(
        service="delivery-local",
        reason="no object",
        exception="MissingObject posthouse/blobs/disk.py:get",
        fingerprint="0123456789abcdef",
        failures=1,
        first_failed=moment,
        last_failed=moment,
    )

    await publisher.bury(LOCAL, b"\xff not an envelope", obituary)

    (letter,) = await management.letters("mail.local.dead")
    headers = letter["properties"]["headers"]
    assert {key: headers[key] for key in headers if key.startswith("posthouse-")} == {
        "posthouse-service": "delivery-local",
        "posthouse-road": LOCAL,
        "posthouse-reason": "no object",
        "posthouse-exception": "MissingObject posthouse/blobs/disk.py:get",
        "posthouse-fingerprint": "0123456789abcdef",
        "posthouse-failures": 1,
        "posthouse-first-failed": "2026-11-22T00:00:00+00:00",
        "posthouse-last-failed": "2026-11-22T00:00:00+00:00",
    }


async def test_notices_reach_every_subscriber_also_after_a_lost_connection(
    broker: Broker, publisher: Publisher, management: Management
) -> None:
    heard: list[list[MailboxChanged]] = [[], []]
    gaps = [0, 0]

    def count(at: int) -> None:
        gaps[at] += 1

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(subscribe(broker, heard[at].append, partial(count, at)))
            for at in (0, 1)
        ]
        await until(lambda: gaps == [1, 1], "both had subscribed")
        await publisher.notify([change(1), change(2)])
        await until(lambda: [len(one) for one in heard] == [2, 2], "both heard of both")
        await management.close_connections("consuming")
        await until(lambda: gaps == [2, 2], "both were told of the gap")
        await publisher.notify([change(3)])
        await until(lambda: [len(one) for one in heard] == [3, 3], "both heard of the third")
        for task in tasks:
            task.cancel()

    assert heard[0] == heard[1] == [change(1), change(2), change(3)]


async def test_notices_without_a_broker_are_dropped_at_once(probes: Probes) -> None:
    async with connect("amqp://guest:guest@127.0.0.1:1/", probes, "test") as broker:
        begun = time.monotonic()

        await Publisher(broker).notify([change(1)])

        assert time.monotonic() - begun < 0.5


def change(modseq: int) -> MailboxChanged:
    return MailboxChanged(account=1, mailbox=2, modseq=modseq)
