"""Services of one test as processes."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from onemachine.children import mortal
from onemachine.ports import free_ports
from onemachine.ready import NO_TLS

READY_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the services of one test are.

    Attributes:
        port: Of the MX listener.
        store: The folder of the objects.
        env: What the services are told.
    """

    port: int
    store: Path
    env: dict[str, str]

    @asynccontextmanager
    async def running(self, package: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a service until the end of the block; it must be ready before."""
        [health] = free_ports(1)
        process = await asyncio.create_subprocess_exec(
            *mortal(sys.executable, "-m", package),
            env=self.env | {"POSTHOUSE_HEALTH_PORT": str(health)},
        )
        try:
            await _ready(health, process)
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await process.wait()


async def _ready(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient(verify=NO_TLS) as client:
        while True:
            assert process.returncode is None, "the service has ended"
            try:
                if (await client.get(f"http://127.0.0.1:{port}/readyz")).is_success:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.05)
