"""An outage longer than the broker's patience with unacknowledged work (its consumer_timeout)."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from posthouse.bus.connection import Broker
from posthouse.bus.moves import Move
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import LOCAL
from posthouse.mail.envelope import Local
from posthouse.mail.errors import Unavailable
from support.roads import Desk, Management, consuming, local, until

pytestmark = pytest.mark.integration


async def _away(_envelopes: Sequence[Local]) -> Sequence[Move]:
    raise Unavailable("we are not well", detail="PostgreSQL is away")


async def test_work_that_is_held_too_long_waits_on_the_roads_and_is_not_blamed(
    broker: Broker, publisher: Publisher, management: Management, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posthouse.bus.consumer.LONGEST_HOLD", timedelta(seconds=0.2))
    desk = Desk()
    desk.answer = _away
    await publisher.send(LOCAL, [local(n) for n in range(3)])

    async with consuming(broker, desk):
        await until(lambda: len(desk.calls) >= 2, "it was held for a while")
        async with asyncio.timeout(30):
            while len(await management.letters("wait.1m")) < 3:
                pass

    for letter in await management.letters("wait.1m"):
        assert "posthouse-failures" not in (letter["properties"].get("headers") or {})
    assert await management.letters(LOCAL) == []
    assert await management.letters("mail.local.dead") == []
