"""A road whose next hops and senders take turns, on a real broker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from posthouse.bus import inbox
from posthouse.bus.connection import Broker, bare
from posthouse.bus.consumer import Ack, Fairness, Move, Wait, consume_fairly
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import remote_road
from posthouse.bus.transport import MAX_FRAMES
from posthouse.mail.envelope import InboundRecipient, Remote
from posthouse.mail.ids import new_id
from posthouse.telemetry.probes import Probes
from support.roads import until

pytestmark = pytest.mark.integration

MANY = "many.test"
ROAD = remote_road(MANY)
LIVE = next(name for name in (f"live{n}.test" for n in range(200)) if remote_road(name) == ROAD)


def _remote(n: int, domain: str) -> Remote:
    return Remote(
        id=new_id(),
        sender="anna@example.test",
        size=n,
        domain=domain,
        recipients=(InboundRecipient(n=0, address=f"bert@{domain}"),),
    )


class _Office:
    """Handles what comes once its gate is open; sends back what is too much."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun: list[Remote] = []
        self.sent_back: list[int] = []

    async def work(self, envelopes: Sequence[Remote]) -> Sequence[Move]:
        self.begun += envelopes
        if envelopes[0].domain == MANY:
            await self.gate.wait()
        return [Ack() for _ in envelopes]

    async def send_back(self, envelopes: Sequence[Remote]) -> Sequence[Move]:
        self.sent_back += [each.size for each in envelopes]
        return [Wait(timedelta(seconds=5)) for _ in envelopes]


@asynccontextmanager
async def _open(broker: Broker, office: _Office, share: int = 10) -> AsyncIterator[None]:
    fairness = Fairness(concurrency=100, share=share, surplus=office.send_back)
    beat = Probes().progress(ROAD)
    serving = asyncio.create_task(
        consume_fairly(broker, ROAD, office.work, beat=beat, fairness=fairness)
    )
    try:
        yield
    finally:
        office.gate.set()
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


async def test_a_hop_with_its_share_in_hand_keeps_no_other_waiting(
    broker: Broker, publisher: Publisher
) -> None:
    office = _Office()
    await publisher.send(ROAD, [_remote(n, MANY) for n in range(300)])
    await publisher.send(ROAD, [_remote(300, LIVE)])

    async with _open(broker, office):
        await until(lambda: any(one.domain == LIVE for one in office.begun), "it was its turn")
        assert sum(one.domain == MANY for one in office.begun) == 10
        office.gate.set()
        await until(lambda: len(office.begun) == 301, "all were begun")

    assert [one.size for one in office.begun if one.domain == MANY] == list(range(300))


async def test_what_is_too_much_goes_back_the_newest_first_and_comes_again(
    broker: Broker, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MAX_GATHERED", 50)
    office = _Office()
    await publisher.send(ROAD, [_remote(n, MANY) for n in range(200)])

    async with _open(broker, office):
        await until(lambda: len(office.sent_back) == 140, "what was too much had gone")
        assert sorted(one.size for one in office.begun) == list(range(10))
        monkeypatch.setattr(inbox, "MAX_GATHERED", 1000)
        office.gate.set()
        await until(lambda: len(office.begun) == 200, "all had come again")

    assert sorted(one.size for one in office.begun) == list(range(200))


async def test_what_is_read_waits_for_no_turn_of_the_loop_every_ten_frames(broker: Broker) -> None:
    channel = await broker.consuming.channel(confirms=False)
    try:
        assert (await bare(channel)).frames.maxsize == MAX_FRAMES
    finally:
        await channel.close()
