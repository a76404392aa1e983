"""Roads of their own for each test, on uvloop as in the services."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta

import pytest
import uvloop

from posthouse.bus.connection import Broker, connect
from posthouse.bus.publisher import Publisher
from posthouse.telemetry.probes import Probes
from support.roads import Management


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def probes() -> Probes:
    return Probes()


@pytest.fixture
async def broker(broker_url: str, probes: Probes) -> AsyncIterator[Broker]:
    async with connect(broker_url, probes, "test", grace=timedelta(seconds=5)) as connected:
        await connected.wait_until_up()
        yield connected


@pytest.fixture
def publisher(broker: Broker) -> Publisher:
    return Publisher(broker)


@pytest.fixture
async def management(broker_api: str, broker_url: str) -> AsyncIterator[Management]:
    async with Management(broker_api, broker_url) as opened:
        yield opened
