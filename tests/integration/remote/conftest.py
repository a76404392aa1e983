"""A station of its own for each test, on uvloop as in the service."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from posthouse.storage.pool import Pool
from support.outside_world import OutsideWorld
from support.remote import Station, open_station


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def station(pool: Pool, tmp_path: Path) -> AsyncIterator[Station]:
    async with open_station(pool, tmp_path) as opened:
        yield opened


@pytest.fixture
def world() -> Iterator[OutsideWorld]:
    """Servers outside, and the DNS that names them."""
    world = OutsideWorld()
    yield world
    world.close()
