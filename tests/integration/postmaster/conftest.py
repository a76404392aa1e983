"""A live postmaster for each test, on its own database and virtual host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from posthouse.bus.connection import Broker, connect
from posthouse.storage.pool import Pool
from posthouse.telemetry.probes import Probes
from postmaster.settings import PostmasterSettings
from support.postmaster import GRACE, TOKEN, LivePostmaster, live_postmaster

CONNECT_WITHIN_SECONDS = 30


@pytest.fixture
async def broker(broker_url: str) -> AsyncIterator[Broker]:
    """A connection to the test's own virtual host, topology declared."""
    async with connect(broker_url, Probes(), "postmaster", grace=GRACE) as opened:
        async with asyncio.timeout(CONNECT_WITHIN_SECONDS):
            await opened.wait_until_up()
        yield opened


NOWHERE = "amqp://guest:guest@127.0.0.1:1/"


def _settings(postgres_url: str, broker_url: str, folder: Path) -> PostmasterSettings:
    return PostmasterSettings(
        database_url=SecretStr(postgres_url),
        broker_url=SecretStr(broker_url),
        store=f"disk:{folder}/objects",
        hostname="mail.example.test",
        api_token=SecretStr(TOKEN),
    )


@pytest.fixture
def postmaster_settings(postgres_url: str, broker_url: str, tmp_path: Path) -> PostmasterSettings:
    """Settings that point to the servers of this test."""
    return _settings(postgres_url, broker_url, tmp_path)


@pytest.fixture
async def clerk(postgres_url: str, pool: Pool, tmp_path: Path) -> AsyncIterator[LivePostmaster]:
    """A postmaster without a broker: enough for everything that lives in PostgreSQL."""
    settings = _settings(postgres_url, NOWHERE, tmp_path)
    async with (
        connect(NOWHERE, Probes(), "postmaster", grace=GRACE) as broker,
        live_postmaster(settings, pool, broker) as live,
    ):
        yield live


@pytest.fixture
async def postmaster(
    postmaster_settings: PostmasterSettings, pool: Pool, broker: Broker
) -> AsyncIterator[LivePostmaster]:
    """The API of this test alone."""
    async with live_postmaster(postmaster_settings, pool, broker) as live:
        yield live
