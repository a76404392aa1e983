"""Services as processes of their own, so that they can be killed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from onemachine.ports import free_ports
from onemachine.ready import NO_TLS
from onemachine.services import inherited_environment
from support import forks

START_SECONDS = 60.0  # a machine that does much else, too
END_SECONDS = 30.0


def free_port() -> int:
    """Return a port nobody listens on, and that no other test is given."""
    return free_ports(1)[0]


@dataclass(slots=True)
class Service:
    """One service, started and killed as often as a test likes.

    Attributes:
        module: What ``python -m`` runs.
        settings: Its environment.
        log: Where its output goes.
    """

    module: str
    settings: Mapping[str, str]
    log: Path
    _health: int = field(default_factory=free_port)
    _process: forks.Forked | None = None

    async def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        assert self._process is None or self._process.returncode is not None, "it runs already"
        environment = {**inherited_environment(), **self.settings}
        environment["POSTHOUSE_HEALTH_PORT"] = str(self._health)
        self._process = await forks.start(self.module, environment, self.log)
        try:
            await self._until_ready(self._process)
        except BaseException:
            await self.kill()  # a test that fails leaves nothing behind that slows the next ones
            raise

    async def _until_ready(self, process: forks.Forked) -> None:
        address = f"http://127.0.0.1:{self._health}/readyz"
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(verify=NO_TLS) as client:
            while True:
                assert process.returncode is None, self.log.read_text()[-2000:]
                try:
                    if (await client.get(address)).status_code == httpx.codes.OK:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def terminate(self) -> int:
        """SIGTERM; return the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(END_SECONDS):
            return await self._process.wait()


@asynccontextmanager
async def running(module: str, settings: Mapping[str, str], folder: Path) -> AsyncIterator[Service]:
    """Run a service as long as the block does; its log stays in ``folder``."""
    service = Service(module, settings, folder / f"{module}-{free_port()}.log")
    await service.start()
    try:
        yield service
    finally:
        await service.kill()
