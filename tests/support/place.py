"""Services of one test as processes."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import httpx

from onemachine.children import mortal
from onemachine.ports import free_ports
from onemachine.ready import NO_TLS
from support import forks

READY_SECONDS = 60.0

Process: TypeAlias = asyncio.subprocess.Process | forks.Forked


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
    async def running(self, package: str, *, alone: bool = False) -> AsyncIterator[Process]:
        """Run a service until the end of the block; it must be ready before.

        Args:
            package: Which.
            alone: It is not forked, for its memory is to be measured.
        """
        [health] = free_ports(1)
        log = self.store.parent / f"{package}-{health}.log"
        env = self.env | {"POSTHOUSE_HEALTH_PORT": str(health)}
        process: Process
        if alone:
            argv = mortal(sys.executable, "-m", package)
            process = await asyncio.create_subprocess_exec(*argv, env=env)
        else:
            process = await forks.start(package, env, log)
        try:
            await _ready(health, process)
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await process.wait()
            if log.exists():
                sys.stdout.write(log.read_text())  # pytest shows it of a test that fails


async def _ready(port: int, process: Process) -> None:
    async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient(verify=NO_TLS) as client:
        while True:
            assert process.returncode is None, "the service has ended"
            try:
                if (await client.get(f"http://127.0.0.1:{port}/readyz")).is_success:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.05)
