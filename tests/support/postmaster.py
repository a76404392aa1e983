"""A live postmaster: its API on a real socket, over the real database and broker of the test."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest
import structlog
from typer.testing import Result

from onemachine.ready import NO_TLS
from posthouse.blobs import open_blobs
from posthouse.bus.connection import Broker
from posthouse.bus.publisher import Publisher
from posthouse.storage.pool import Pool
from postmaster.api.application import build
from postmaster.api.hashing import Hasher
from postmaster.api.listener import bind, serve
from postmaster.api.parts import Parts
from postmaster.settings import PostmasterSettings
from support.commands import posthouse

TOKEN = "a-token-for-tests-only"  # noqa: S105
GRACE = timedelta(seconds=5)
SOON = 60.0
LOOK_EVERY_SECONDS = 0.02


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

    async def cli(self, *arguments: str, stdin: str = "", token: str = TOKEN) -> Result:
        """Run ``posthouse`` with ``arguments``; the API goes on serving meanwhile."""
        environment = {
            "POSTHOUSE_API_URL": self.url,
            "POSTHOUSE_API_TOKEN": token,
            "COLUMNS": "200",
        }
        return await asyncio.to_thread(posthouse, *arguments, stdin=stdin, env=environment)


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until ``condition`` holds (it may return an awaitable); fail, saying ``what``."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SOON):
            while True:
                found = condition()
                if inspect.isawaitable(found):
                    found = await found
                if found:
                    return
                await asyncio.sleep(LOOK_EVERY_SECONDS)
    pytest.fail(what)


@asynccontextmanager
async def live_postmaster(
    settings: PostmasterSettings, pool: Pool, broker: Broker
) -> AsyncIterator[LivePostmaster]:
    """Serve the API while inside; duties do not run."""
    # Commands run in this process, too, and what they print must not be mixed with our log.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))
    listening = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with (
        Hasher(settings.wanted) as hasher,
        open_blobs(settings.store, *settings.store_keys) as blobs,
    ):
        parts = Parts(
            settings=settings,
            pool=pool,
            blobs=blobs,
            broker=broker,
            publisher=Publisher(broker),
            hasher=hasher,
            reporter=settings.reporter(blobs, pool),
        )
        async with (
            serve(build(parts), listening, GRACE),
            httpx.AsyncClient(
                base_url=f"{url}/api/v1",
                headers={"Authorization": f"Bearer {TOKEN}"},
                timeout=30,
                verify=NO_TLS,
            ) as http,
        ):
            yield LivePostmaster(url=url, http=http, parts=parts)
