"""A live postmaster: its API on a real socket, over the real database and broker of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from posthouse.bus.connection import Broker, connect
from posthouse.bus.publisher import Publisher
from posthouse.storage.pool import Pool
from posthouse.telemetry.probes import Probes
from postmaster.api.application import build
from postmaster.api.hashing import Hasher
from postmaster.api.listener import bind, serve
from postmaster.api.parts import Parts
from postmaster.cli import app
from postmaster.settings import PostmasterSettings

TOKEN = "a-token-for-tests-only"  # noqa: S105
CONNECT_WITHIN_SECONDS = 30
GRACE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePostmaster:
    """What a test does with it.

    Attributes:
        url: Where the API is.
        http: A client that bears the token.
        parts: What the API works with.
    """

    url: str
    http: httpx.AsyncClient
    parts: Parts

    @property
    def pool(self) -> Pool:
        return self.parts.pool

    @property
    def broker(self) -> Broker:
        return self.parts.broker

    @property
    def publisher(self) -> Publisher:
        return self.parts.publisher

    async def cli(self, *arguments: str, stdin: str = "") -> Result:
        """Run ``posthouse`` with ``arguments``; the API goes on serving meanwhile."""
        environment = {
            "POSTHOUSE_API_URL": self.url,
            "POSTHOUSE_API_TOKEN": TOKEN,
            "COLUMNS": "200",
        }
        return await asyncio.to_thread(
            CliRunner().invoke, app, list(arguments), input=stdin, env=environment
        )


@pytest.fixture
async def broker(broker_url: str) -> AsyncIterator[Broker]:
    """A connection to the test's own virtual host, topology declared."""
    async with connect(broker_url, Probes(), "postmaster", grace=GRACE) as opened:
        async with asyncio.timeout(CONNECT_WITHIN_SECONDS):
            await opened.wait_until_up()
        yield opened


@pytest.fixture
async def postmaster(
    pool: Pool, postgres_url: str, broker: Broker, broker_url: str, tmp_path: Path
) -> AsyncIterator[LivePostmaster]:
    """A postmaster of this test alone; duties do not run, only the API."""
    settings = PostmasterSettings(
        database_url=SecretStr(postgres_url),
        broker_url=SecretStr(broker_url),
        store=f"disk:{tmp_path}/objects",
        hostname="mail.example.test",
        api_token=SecretStr(TOKEN),
    )
    listening = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with Hasher() as hasher:
        parts = Parts(
            settings=settings,
            pool=pool,
            broker=broker,
            publisher=Publisher(broker),
            hasher=hasher,
        )
        async with (
            serve(build(parts), listening, GRACE),
            httpx.AsyncClient(
                base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30
            ) as http,
        ):
            yield LivePostmaster(url=url, http=http, parts=parts)
